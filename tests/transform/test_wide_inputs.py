"""Transforms over numbers that need 128 bits: which keep working, and which are told."""

import polars as pl
import pytest
from polars import col
from support.worlds import catalog_of, land_all, world, write

from lakehouse.errors import DataError
from lakehouse.tables import Contract, Field, mart, raw, staged
from lakehouse.transform.make import make

N = col("n")
BIG = 2**62


class Total(Contract):
    """A total."""

    k: int = Field(nullable=True)
    total: int = Field(nullable=True)
    lines: int

    class Table:
        counts = "lines"
        max_quarantined = 1.0


def totals(folder, transform, rows):
    """What a mart makes of rows of `shop`, `k` and `n`."""
    raw_lines = raw(
        "lines", "Lines.", columns={"shop": pl.String(), "k": pl.Int64(), "n": pl.Int64()}
    )

    def totals(raw_lines):
        return transform(raw_lines)

    totals.__doc__ = "Totals."
    here = world(folder, catalog_of(raw_lines=raw_lines, totals=mart(Total)(totals)))
    lines = [",".join(map(str, row)) for row in rows]
    write(here, "lines", "a.csv", "\n".join(["shop,k,n", *lines]) + "\n")
    land_all(here)
    make(here.lake, here.catalog, "marts/totals")
    return here.lake.scan("marts/totals").sort("k").collect()["total"].to_list()


LINES = pl.len().cast(pl.Int64).alias("lines")
WORK = {
    "another column is the index": lambda rows: (
        rows.sort("k").group_by_dynamic("k", every="1i").agg(N.sum().alias("total"), LINES)
    ),
    "large numbers are the index": lambda rows: (
        rows.sort("n")
        .group_by_dynamic("n", every="1i")
        .agg(col("k").sum(), LINES)
        .rename({"n": "total"})
    ),
    "a strict concat": lambda rows: pl.concat(
        [rows.select("k", "n"), pl.LazyFrame({"k": [3], "n": [7]})]
    ).select("k", total=N, lines=(col("k") < 3).cast(pl.Int64)),
    "unary minus": lambda rows: rows.select("k", total=(-N).abs(), lines=pl.lit(1, pl.Int64)),
    "a join": lambda rows: (
        rows.join(rows.select("n", m="n"), on="n")
        .group_by("k")
        .agg(total=col("m").sum(), lines=pl.len().cast(pl.Int64))
    ),
}


@pytest.mark.parametrize("way", WORK)
def test_what_polars_does_in_64_bits_alone_works_where_they_do(tmp_path, way):
    found = totals(tmp_path, WORK[way], [("a", 1, BIG), ("a", 2, 3)])
    assert found[:2] == [BIG, 3]


def by_shop(total):
    return lambda rows: (
        rows.filter(col("shop") == "a")
        .group_by("k")
        .agg(total.alias("total"), pl.len().cast(pl.Int64).alias("lines"))
    )


@pytest.mark.parametrize(
    "transform",
    [
        # Seen only when it runs over rows that pass the filter.
        by_shop((-N).sum()),
        lambda rows: (
            rows.sort("n")
            .group_by_dynamic("n", every="1i")
            .agg(k=col("k").sum(), total=N.sum(), lines=pl.len().cast(pl.Int64))
            .drop("n")
        ),
        lambda rows: pl.concat([rows.select("n"), pl.LazyFrame({"n": [7]})]).select(
            k=pl.lit(1, pl.Int64), total=N.sum(), lines=pl.len().cast(pl.Int64)
        ),
    ],
    ids=["unary minus", "index", "concat"],
)
def test_what_polars_cannot_do_in_128_bits_is_told_with_table_column_and_remedy(
    tmp_path, transform
):
    with pytest.raises(DataError, match=r"(?s)marts/totals: .*\bn\b.*0 - col.*Nothing was"):
        totals(tmp_path, transform, [("a", 1, BIG), ("a", 2, BIG)])


class Line(Contract):
    """A line."""

    n: int = Field(pii=True)


@pytest.mark.parametrize(("value", "expected"), [(BIG, None), (5, 10)])
def test_numbers_without_bounds_in_the_log_are_looked_at(tmp_path, value, expected):
    raw_lines = raw("lines", "Lines.", columns={"n": pl.Int64()})

    @staged(Line)
    def lines(raw_lines):
        """Lines."""
        return raw_lines

    @mart(Total)
    def totals(lines):
        """Totals."""
        return lines.select(k=pl.lit(1, pl.Int64), total=N.sum(), lines=LINES)

    here = world(tmp_path, catalog_of(raw_lines=raw_lines, lines=lines, totals=totals))
    write(here, "lines", "a.csv", f"n\n{value}\n{value}\n")
    land_all(here)
    make(here.lake, here.catalog, "staged/lines")
    make(here.lake, here.catalog, "marts/totals")
    found = here.lake.scan("marts/totals").collect()["total"].to_list()
    assert found == ([] if expected is None else [expected])
