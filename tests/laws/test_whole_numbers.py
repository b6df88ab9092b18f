"""Sums, products and differences of whole numbers are those of plain Python, or are told: they never wrap."""

from datetime import date

import polars as pl
import pytest
from polars import col
from support.worlds import bring_up_to_date, catalog_of, in_state, land_all, world, write

from lakehouse.errors import DataError, SetupError
from lakehouse.tables import Contract, Field, cast, mart, raw, sql_mart, staged
from lakehouse.transform.make import make

MOST = 2**31 - 1
SMALL = {"Int8": 127, "Int16": 2**15 - 1, "Int32": MOST, "Int64": 2**62}


def contract_of(dtype, wanted):
    """Contracts of pieces, and of their sum and the sum of their squares by shop."""

    class Piece(Contract):
        id: str
        shop: str
        pieces: dtype

    class Shop(Contract):
        shop: str
        total: wanted
        sales: pl.Int64

        class Table:
            key = ("shop",)
            counts = "sales"
            max_quarantined = 1.0

    return Piece, Shop


def tables(dtype, total, *, wanted=pl.Int64, sql=None):
    """Raw, staged and mart: pieces of a type, and what is made of them."""
    piece, shop = contract_of(dtype, wanted)
    raw_pieces = raw("pieces", "Pieces.", columns=("id", "shop", "pieces"))

    @staged(piece)
    def pieces(raw_pieces):
        """Pieces."""
        return cast(raw_pieces, pieces=col("pieces").cast(dtype, strict=False))

    if sql is not None:

        @sql_mart(shop, reads=("pieces",))
        def shops():
            """Pieces by shop."""
            return sql

    else:

        @mart(shop)
        def shops(pieces):
            """Pieces by shop."""
            return pieces.group_by("shop").agg(total=total, sales=pl.len().cast(pl.Int64))

    return catalog_of(raw_pieces=raw_pieces, pieces=pieces, shops=shops)


def totals(folder, catalog, **shops):
    """What is published of each shop, and the rules that the others broke."""
    here = world(folder, catalog)
    rows = [
        f"{shop}{n},{shop},{value}" for shop, some in shops.items() for n, value in enumerate(some)
    ]
    write(here, "pieces", "a.csv", "\n".join(["id,shop,pieces", *rows]) + "\n")
    bring_up_to_date(here)
    found = here.lake.scan("marts/shops").collect()
    kept = dict(zip(found["shop"].to_list(), found["total"].to_list(), strict=True))
    if "quarantine/marts_shops" not in here.lake.tables():
        return kept, {}
    bad = in_state(here, "quarantine/marts_shops")
    return kept, dict(zip(bad["shop"].to_list(), bad["_rules"].to_list(), strict=True))


X = col("pieces")
WAYS = {
    "sum": (X.sum(), sum),
    "sum of some": (X.filter(X != 0).sum(), sum),
    "last of a running sum": (X.cum_sum().max(), sum),
    "sum of products": ((X * 2).sum(), lambda values: 2 * sum(values)),
    "sum of negatives": (-X.sum(), lambda values: -sum(values)),
    "sum cast after": (X.sum().cast(pl.Int64), sum),
}


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["Int8", "Int32"])
def test_a_sum_of_small_whole_numbers_is_that_of_python(tmp_path, dtype, way):
    total, by_hand = WAYS[way]
    values = [SMALL[dtype]] * 3
    kept, bad = totals(tmp_path, tables(getattr(pl, dtype), total), a=values, b=[1, 2])
    assert (kept, bad) == ({"a": by_hand(values), "b": by_hand([1, 2])}, {})


# In 128 bits Polars negates nothing, and a cast that is not strict=False raises: both are told.
@pytest.mark.parametrize(
    "way", [way for way in WAYS if way not in ("sum cast after", "sum of negatives")]
)
def test_a_sum_that_has_no_room_in_64_bits_quarantines_its_row_alone(tmp_path, way):
    total, by_hand = WAYS[way]
    kept, bad = totals(tmp_path, tables(pl.Int64, total), a=[2**62] * 3, b=[1, 2])
    assert kept == {"b": by_hand([1, 2])}
    assert bad == {"a": ["total fits Int64", "total is present"]}


@pytest.mark.parametrize("dtype", ["Int16", "Int32", "Int64"])
def test_a_mean_of_large_numbers_does_not_wrap(tmp_path, dtype):
    values = [SMALL[dtype]] * 3
    catalog = tables(getattr(pl, dtype), X.mean(), wanted=pl.Float64)
    kept, _ = totals(tmp_path, catalog, a=values)
    assert kept == {"a": pytest.approx(SMALL[dtype])}


def test_a_sum_is_narrowed_to_the_type_of_its_contract(tmp_path):
    kept, bad = totals(tmp_path, tables(pl.Int32, X.sum(), wanted=pl.Int32), a=[MOST, 1], b=[MOST])
    assert kept == {"b": MOST}
    assert bad == {"a": ["total fits Int32", "total is present"]}


QUERY = "SELECT shop, CAST({} AS BIGINT) AS total, count(*) AS sales FROM pieces GROUP BY shop"


@pytest.mark.parametrize(
    ("query", "by_hand"),
    [("sum(pieces)", sum), ("sum(pieces * pieces)", lambda v: sum(x * x for x in v))],
)
def test_a_sum_in_sql_is_that_of_python(tmp_path, query, by_hand):
    values = [MOST] * 2
    catalog = tables(pl.Int32, None, sql=QUERY.format(query))
    kept, _ = totals(tmp_path, catalog, a=values, b=[1, 2])
    assert kept == {"a": by_hand(values), "b": by_hand([1, 2])}


@pytest.mark.parametrize(
    "total",
    [
        X.cast(pl.Int32).sum(),
        X.cast(pl.Int32).cum_sum().max(),
        X.cast(pl.Int32).rolling_sum(2).max(),
        (X.cast(pl.Int8) * X.cast(pl.Int8)).sum(),
        (col("shop").str.len_chars() * 2).sum(),
        pl.len() - col("shop").n_unique(),
        X.cast(pl.Int8, wrap_numerical=True).max(),
    ],
)
def test_arithmetic_that_a_transform_makes_narrow_is_refused_when_it_loads(total):
    with pytest.raises(SetupError, match=r"marts/shops: .* wraps?"):
        tables(pl.Int64, total.cast(pl.Int64))


@pytest.mark.parametrize(
    "total",
    [
        X.sum(),
        X.cast(pl.Int16).sum(),
        (X > 3).sum(),
        (X * 1.5).sum().cast(pl.Int64),
        X.count() + 1,
        X.cast(pl.Int8) - 1,
        pl.len().cast(pl.Int64) - X.n_unique(),
    ],
)
def test_arithmetic_that_has_room_is_not_refused(total):
    assert tables(pl.Int64, total.max().cast(pl.Int64))


class Sale(Contract):
    """A sale of a day."""

    id: str
    day: date
    pieces: pl.Int16 = Field(nullable=True)


def test_a_column_that_a_transform_hands_on_keeps_its_small_type(tmp_path):
    raw_sales = raw("sales", "Sales.", columns={"id": pl.String(), "pieces": pl.Int16()})

    @staged(Sale)
    def sales(raw_sales):
        """Sales."""
        return raw_sales.with_columns(day=pl.lit(date(2024, 5, 1)), pieces=col("pieces") * 2)

    here = world(tmp_path, catalog_of(raw_sales=raw_sales, sales=sales))
    rows = [f"s{n},{n}" for n in range(30)]
    write(here, "sales", "a.csv", "\n".join(["id,pieces", *rows, "big,32767", "none,"]) + "\n")
    bring_up_to_date(here)
    found = here.lake.scan("staged/sales").collect()
    assert found.schema["pieces"] == pl.Int16
    assert sorted(found["pieces"].drop_nulls()) == [2 * n for n in range(30)]
    assert in_state(here, "quarantine/staged_sales")["_rules"].to_list() == [["pieces fits Int16"]]
    assert in_state(here, "quarantine/staged_sales").schema["pieces"] == pl.Int16


BILLIONS = 2_000_000_000


@pytest.mark.parametrize("total", [X.sum() * X.sum(), (X * X * X).sum(), (X**3).sum()])
def test_a_product_of_small_whole_numbers_that_has_no_room_is_quarantined(tmp_path, total):
    kept, bad = totals(tmp_path, tables(pl.Int32, total), a=[BILLIONS] * 2, b=[1, 1])
    assert list(kept) == ["b"]
    assert bad == {"a": ["total fits Int64", "total is present"]}


def test_a_transform_that_calls_python_counts_as_adding_up(tmp_path):
    piece, shop = contract_of(pl.Int64, pl.Int64)
    raw_pieces = raw("pieces", "Pieces.", columns=("id", "shop", "pieces"))

    @staged(piece)
    def pieces(raw_pieces):
        """Pieces."""
        return cast(raw_pieces, pieces=X.cast(pl.Int64, strict=False))

    @mart(shop)
    def shops(pieces):
        """Pieces by shop."""
        folded = pl.fold(pl.lit(0), lambda seen, one: seen + (one > 0), [X])
        by_shop = pieces.filter(folded > 0).group_by("shop")
        return by_shop.agg(total=(X * X).sum(), sales=pl.len().cast(pl.Int64))

    catalog = catalog_of(raw_pieces=raw_pieces, pieces=pieces, shops=shops)
    kept, bad = totals(tmp_path, catalog, a=[2**40] * 2, b=[1, 2])
    assert kept == {"b": 5}
    assert bad == {"a": ["total fits Int64", "total is present"]}


def test_unary_minus_of_large_numbers_works_where_their_sum_has_room(tmp_path):
    kept, bad = totals(tmp_path, tables(pl.Int64, (-X).sum()), a=[3_000_000_000, 5], b=[1])
    assert (kept, bad) == ({"a": -3_000_000_005, "b": -1}, {})


@pytest.mark.parametrize(
    ("total", "values", "reason"),
    [
        ((-X).sum(), [2**62, 2**62], r"pieces: in 128 bits, Polars says: .*neg"),
        ((X * X * X).sum(), [2**62], r"a product of pieces"),
        (X.product(), [2**62] * 3, r"a product of pieces"),
        (X.cast(pl.Int64).sum(), [2**62, 2**62], r"a sum of numbers that the transform casts"),
    ],
)
def test_what_has_no_room_in_128_bits_is_told_with_a_remedy(tmp_path, total, values, reason):
    here = world(tmp_path, tables(pl.Int64, total))
    rows = [f"a{n},a,{value}" for n, value in enumerate(values)]
    write(here, "pieces", "a.csv", "\n".join(["id,shop,pieces", *rows]) + "\n")
    land_all(here)
    make(here.lake, here.catalog, "staged/pieces")
    with pytest.raises(DataError, match=rf"marts/shops: (?s:.*){reason}(?s:.*)Next: "):
        make(here.lake, here.catalog, "marts/shops")


def test_numbers_of_a_list_stay_as_they_are_where_their_sum_is_wide(tmp_path):
    class Piece(Contract):
        id: str
        pieces: int

    class All(Contract):
        total: int = Field(nullable=True)
        every: list[int]
        sales: int

        class Table:
            counts = "sales"
            max_quarantined = 1.0

    raw_pieces = raw("pieces", "Pieces.", columns={"id": pl.String(), "pieces": pl.Int64()})

    @staged(Piece)
    def pieces(raw_pieces):
        """Pieces."""
        return raw_pieces

    @mart(All)
    def everything(pieces):
        """All pieces."""
        return pieces.select(
            total=X.sum().clip(0, 5), every=X.implode(), sales=pl.len().cast(pl.Int64)
        )

    here = world(tmp_path, catalog_of(raw_pieces=raw_pieces, pieces=pieces, everything=everything))
    write(here, "pieces", "a.csv", f"id,pieces\na,{2**62}\nb,{2**62}\n")
    bring_up_to_date(here)
    assert here.lake.scan("marts/everything").collect()["every"].to_list() == [[2**62] * 2]


def test_what_was_too_large_stays_visible_in_quarantine(tmp_path):
    total = X.sum() * col("id").n_unique().cast(pl.Int64)
    here = world(tmp_path, tables(pl.Int64, total))
    rows = [f"{shop}{n},{shop},{value}" for shop, value in (("a", 2**62), ("b", 7)) for n in "12"]
    write(here, "pieces", "a.csv", "\n".join(["id,shop,pieces", *rows]) + "\n")
    bring_up_to_date(here)
    assert in_state(here, "quarantine/marts_shops")["_too_large"].to_list() == [f"total {2**64}"]
    # A later file brings the sum back to where it fits; the row in quarantine keeps its value.
    write(here, "pieces", "b.csv", f"id,shop,pieces\na3,a,{-(2**62)}\na4,a,{-(2**62)}\n")
    bring_up_to_date(here)
    assert here.lake.scan("marts/shops").collect().height == 2
    released = in_state(here, "quarantine/marts_shops", "released")
    assert released["_too_large"].to_list() == [f"total {2**64}"]


def test_a_quarantine_from_before_values_were_kept_takes_them(tmp_path):
    here = world(tmp_path, tables(pl.Int64, X.sum()))
    write(here, "pieces", "a.csv", f"id,shop,pieces\na1,a,{2**62}\na2,a,{2**62}\n")
    bring_up_to_date(here)
    old = here.lake.scan("quarantine/marts_shops").drop("_too_large").collect()
    old.write_delta(
        here.lake.uri("quarantine/marts_shops"),
        mode="overwrite",
        delta_write_options={"schema_mode": "overwrite"},
    )
    write(here, "pieces", "b.csv", f"id,shop,pieces\na3,a,{2**62}\n")
    bring_up_to_date(here)
    rows = in_state(here, "quarantine/marts_shops")
    assert rows["_too_large"].to_list() == [f"total {3 * 2**62}"]
