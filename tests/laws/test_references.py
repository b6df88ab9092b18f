"""Rules over several columns of a row, and references to the keys of another table."""

import os
import random
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars import LazyFrame, col
from support.sizes import first
from support.worlds import bring_up_to_date, catalog_of, contents, in_state, world, write

from lakehouse.calendar import Daily
from lakehouse.errors import SetupError
from lakehouse.observe.overview import list_audits
from lakehouse.orchestration.assets import build_assets
from lakehouse.system_columns import BROKEN
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, sql_mart, staged
from lakehouse.tables.versions import compute_contract_version
from lakehouse.transform.make import make

MARCH = Daily(date(2024, 3, 1))
RENTALS, DAYS, ALL = "staged/rentals", "marts/rented_days", "staged/all_rentals"
IN_BIKES, IN_ORDER = "bike is in staged/bikes", "it ends after it starts"


class Bike(Contract):
    """A bike that can be rented."""

    bike: str
    seen: date

    class Table:
        key = ("bike",)
        sequence = ("seen",)
        max_quarantined = 1.0


class Rental(Contract):
    """A bike that somebody had, from one hour to another."""

    day: date
    number: pl.Int64
    bike: str = Field(nullable=True)
    since: pl.Int64
    until: pl.Int64 = Field(nullable=True)

    class Table:
        key = ("number",)
        date_column = "day"
        max_quarantined = 1.0
        row_rules = {IN_ORDER: col("until") >= col("since")}  # noqa: RUF012
        references = {"bike": "bikes"}  # noqa: RUF012


class RentedDay(Contract):
    """Rentals of a bike on a day."""

    day: date
    bike: str = Field(nullable=True)
    rentals: pl.Int64
    hours: pl.Int64 = Field(nullable=True)

    class Table:
        date_column = "day"
        counts = "rentals"
        max_quarantined = 1.0
        row_rules = {"no day is longer than it is": col("hours") <= 24 * col("rentals")}  # noqa: RUF012
        references = {"bike": ("staged/bikes", "bike")}  # noqa: RUF012


class Owned(Contract):
    """A bike, from when on."""

    bike: str = Field(nullable=True)

    class Table:
        max_quarantined = 1.0


raw_bikes = raw("bikes", "Changes of bikes.", columns=("bike", "seen", "op"))
raw_rentals = raw(
    "rentals",
    "Rentals.",
    columns=("day", "number", "bike", "since", "until"),
    day=col("day").str.to_date("%Y-%m-%d", strict=False),
)


def bikes(raw_bikes: LazyFrame) -> LazyFrame:
    """Bikes."""
    return cast(
        raw_bikes,
        seen=pl.date(2024, 1, 1) + pl.duration(days=col("seen").cast(pl.Int64, strict=False)),
    )


def type_rentals(raw_rentals: LazyFrame) -> LazyFrame:
    """Rentals with their types."""
    return cast(
        raw_rentals,
        day=col("day").str.to_date("%Y-%m-%d", strict=False),
        **{n: col(n).cast(pl.Int64, strict=False) for n in ("number", "since", "until")},
    )


@staged(Rental, partitions=MARCH)
def rentals(raw_rentals: LazyFrame) -> LazyFrame:
    """Rentals by day."""
    return type_rentals(raw_rentals)


@staged(Rental)
def all_rentals(raw_rentals: LazyFrame) -> LazyFrame:
    """Rentals in one piece."""
    return type_rentals(raw_rentals)


@sql_mart(RentedDay, reads=("all_raw",), partitions=MARCH)
def rented_days() -> str:
    """Rentals by day and bike, of rentals whose bike nobody has looked up."""
    return "SELECT day, bike, count(*) AS rentals, sum(until - since)::BIGINT AS hours FROM all_raw GROUP BY ALL"


class Anything(Contract):
    """A rental, whatever it says."""

    day: date
    number: pl.Int64
    bike: str = Field(nullable=True)
    since: pl.Int64
    until: pl.Int64 = Field(nullable=True)

    class Table:
        date_column = "day"


@staged(Anything, partitions=MARCH)
def all_raw(raw_rentals: LazyFrame) -> LazyFrame:
    """Rentals with their types and nothing else."""
    return type_rentals(raw_rentals)


def catalogue(mode: str = "upsert"):
    return catalog_of(
        raw_bikes=raw_bikes,
        raw_rentals=raw_rentals,
        bikes=staged(Bike, mode=mode, deletes=col("op") == "d")(bikes),
        rentals=rentals,
        all_rentals=all_rentals,
        all_raw=all_raw,
        rented_days=rented_days,
    )


def hand_in(here, table, number, *lines):
    header = {"bikes": "bike,seen,op", "rentals": "day,number,bike,since,until"}[table]
    path = write(here, table, f"{number:03}.csv", "\n".join([header, *lines]) + "\n")
    os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))


def rent(number, bike, day=1, since=1, until=2):
    return f"2024-03-{day:02},{number},{bike},{since},{until}"


def rejected(here, table=RENTALS):
    """The numbers of the open rows of a table, each with the rules that it breaks."""
    name = f"quarantine/{table.replace('/', '_')}"
    rows = in_state(here, name).to_dicts() if name in here.lake.tables() else []
    if table == DAYS:
        return {(row["day"].day, row["bike"]): row[BROKEN] for row in rows}
    return {row["number"]: row[BROKEN] for row in rows}


def published(here, table=RENTALS):
    return sorted(here.lake.scan(table).collect()["number"].to_list())


@pytest.fixture
def here(tmp_path: Path):
    return world(tmp_path, catalogue())


def test_a_row_that_breaks_a_rule_over_two_columns_names_it(here):
    hand_in(here, "bikes", 0, "a,1,u")
    hand_in(
        here, "rentals", 1, rent(1, "a"), rent(2, "a", since=5, until=3), rent(3, "a", until="")
    )
    bring_up_to_date(here)
    assert rejected(here) == rejected(here, ALL) == {"2": [IN_ORDER]}
    assert published(here) == published(here, ALL) == [1, 3]
    (audit,) = list_audits(here, RENTALS)
    assert audit.rules[IN_ORDER] == 1


def test_a_row_whose_key_is_not_in_the_other_table_is_quarantined_and_a_null_is_kept(here):
    hand_in(here, "bikes", 0, "a,1,u", "gone,1,u", "gone,2,d")
    lines = [rent(1, "a"), rent(2, "b"), rent(3, ""), rent(4, "gone"), rent(5, "b", 1, 5, 3)]
    hand_in(here, "rentals", 1, *lines)
    bring_up_to_date(here)
    assert rejected(here) == {"2": [IN_BIKES], "4": [IN_BIKES], "5": [IN_ORDER, IN_BIKES]}
    assert published(here) == published(here, ALL) == [1, 3]
    assert rejected(here, DAYS) == {(1, "b"): [IN_BIKES], (1, "gone"): [IN_BIKES]}
    (audit,) = list_audits(here, RENTALS)
    assert {rule: n for rule, n in audit.rules.items() if n} == {IN_ORDER: 1, IN_BIKES: 3}
    assert audit.provenance.inputs["staged/bikes"] == here.lake.revision("staged/bikes")


@pytest.mark.parametrize("mode", ["upsert", "history"])
def test_keys_that_come_late_heal_the_rows_and_keys_that_go_take_them(tmp_path, mode):
    here = world(tmp_path, catalogue(mode))
    hand_in(here, "bikes", 0, "a,1,u")
    hand_in(here, "rentals", 1, rent(1, "a"), rent(2, "b", day=3))
    bring_up_to_date(here)
    assert published(here) == [1]
    hand_in(here, "bikes", 2, "b,1,u")
    bring_up_to_date(here)
    assert published(here) == published(here, ALL) == [1, 2]
    assert rejected(here) == {}
    hand_in(here, "bikes", 3, "a,2,d")
    bring_up_to_date(here)
    assert published(here) == published(here, ALL) == [2]
    assert rejected(here) == {"1": [IN_BIKES]}


def test_other_values_of_the_same_keys_leave_the_days_as_they_were(here):
    hand_in(here, "bikes", 0, "a,1,u")
    hand_in(here, "rentals", 1, rent(1, "a"))
    bring_up_to_date(here)
    hand_in(here, "bikes", 2, "a,5,u")
    bring_up_to_date(here)
    audit = list_audits(here, RENTALS)[-1]
    assert audit.has_unchanged
    assert here.create_planner().find_stale_tables() == []


@pytest.mark.filterwarnings("ignore:.*currently in beta")
def test_a_table_may_read_the_table_that_it_refers_to(tmp_path):
    @staged(Rental, partitions=MARCH)
    def rentals(raw_rentals: LazyFrame, bikes: LazyFrame) -> LazyFrame:
        """Rentals of bikes that are a, by day."""
        known = bikes.select("bike").with_columns(since_bike=pl.lit(9))
        return type_rentals(raw_rentals).join(known, on="bike", how="left")

    tables = catalog_of(
        raw_bikes=raw_bikes,
        raw_rentals=raw_rentals,
        bikes=staged(Bike, mode="upsert", deletes=col("op") == "d")(bikes),
        rentals=rentals,
    )
    here = world(tmp_path, tables)
    hand_in(here, "rentals", 1, rent(1, "a"), rent(2, "b"))
    hand_in(here, "bikes", 2, "a,1,u")
    bring_up_to_date(here)
    assert (published(here), rejected(here)) == ([1], {"2": [IN_BIKES]})
    assert here.create_planner().find_stale_tables() == []
    [asset] = [one for one in build_assets(here) if one.key.path == ["staged", "rentals"]]
    inputs = {key.to_user_string() for key in asset.dependency_keys}
    assert inputs == {"raw/rentals", "staged/bikes"}


@pytest.mark.parametrize("seed", first(1, range(12)))
def test_the_order_of_deliveries_and_a_backfill_change_nothing(tmp_path, seed):
    chance = random.Random(seed)
    files = [
        ("bikes", [f"{chance.choice('abcd')},{chance.randrange(9)},{chance.choice('uud')}"])
        for _ in range(3)
    ]
    for start in range(0, 18, 6):
        lines = [
            rent(n, chance.choice(["a", "b", "c", "d", "e", ""]), chance.randint(1, 4))
            for n in range(start, start + 6)
        ]
        files.append(("rentals", lines))
    numbered = list(enumerate(files))
    first_world, other = (world(tmp_path / name, catalogue()) for name in ("one", "other"))
    for number, (table, lines) in numbered:
        hand_in(first_world, table, number, *lines)
    bring_up_to_date(first_world)
    chance.shuffle(numbered)
    for number, (table, lines) in numbered:
        hand_in(other, table, number, *lines)
        if chance.random() < 0.5:
            bring_up_to_date(other)
    bring_up_to_date(other)
    assert contents(other) == contents(first_world)
    tables = (RENTALS, ALL, DAYS)
    assert [rejected(other, one) for one in tables] == [
        rejected(first_world, one) for one in tables
    ]
    before = contents(other)
    for table in tables:
        make(other.lake, other.catalog, table)
    assert contents(other) == before


class Till(Contract):
    """A till that was opened on a day."""

    day: date
    shop: str
    till: pl.Int32

    class Table:
        key = ("shop", "till")
        date_column = "day"
        max_quarantined = 1.0


class Sale(Contract):
    """A sale at a till, maybe of an earlier day."""

    day: date
    number: pl.Int64
    shop: str = Field(nullable=True)
    till: pl.Int64 = Field(nullable=True)

    class Table:
        date_column = "day"
        max_quarantined = 1.0
        references = {("shop", "till"): "tills", "till": ("tills", "till")}  # noqa: RUF012


def test_a_key_of_two_columns_is_found_on_any_day_of_a_table_by_day(tmp_path):
    on = {"day": col("day").str.to_date("%Y-%m-%d", strict=False)}
    numbers = {name: col(name).cast(pl.Int64, strict=False) for name in ("number", "till")}

    def tills(raw_tills: LazyFrame) -> LazyFrame:
        """Tills."""
        return cast(raw_tills, **on, till=numbers["till"])

    def sales(raw_sales: LazyFrame) -> LazyFrame:
        """Sales."""
        return cast(raw_sales, **on, **numbers)

    tables = catalog_of(
        raw_tills=raw("tills", "Tills.", columns=("day", "shop", "till"), day=on["day"]),
        raw_sales=raw("sales", "Sales.", columns=("day", "number", "shop", "till"), day=on["day"]),
        tills=staged(Till, partitions=MARCH)(tills),
        sales=staged(Sale, partitions=MARCH)(sales),
    )
    here = world(tmp_path, tables)
    write(here, "tills", "a.csv", "day,shop,till\n2024-03-01,x,1\n2024-03-09,y,2\n")
    lines = ["1,x,1", "2,y,2", "3,x,2", "4,y,", "5,,1", "6,,7"]
    rows = "".join(f"2024-03-0{n},{line}\n" for n, line in enumerate(lines, 4))
    write(here, "sales", "a.csv", "day,number,shop,till\n" + rows)
    bring_up_to_date(here)
    assert published(here, "staged/sales") == [1, 2, 4, 5]
    both, one = "shop, till is in staged/tills", "till is in staged/tills"
    assert rejected(here, "staged/sales") == {"3": [both], "6": [one]}


def declare(**properties):
    """A catalogue in which a table of owned bikes has some properties."""
    table = type("Table", (), {"max_quarantined": 1.0, **properties})
    contract = type(
        "Rental", (Contract,), {"__annotations__": dict(Rental.__annotations__), "Table": table}
    )
    return catalog_of(
        raw_bikes=raw_bikes,
        raw_rentals=raw_rentals,
        bikes=staged(Bike, mode="upsert", deletes=col("op") == "d")(bikes),
        all_rentals=staged(contract)(type_rentals),
    )


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"row_rules": {"x": col("nothing") > 1}}, "nothing"),
        ({"row_rules": {"x": col("since") + 1}}, "true or false"),
        ({"row_rules": {"x": col("since") > col("since").max()}}, r"other rows \(max\)"),
        ({"row_rules": {"x": col("since") > col("since").shift(1)}}, r"other rows \(shift\)"),
        ({"row_rules": {"x": col("since").is_unique()}}, r"other rows \(isunique\)"),
        ({"row_rules": {"x": (col("since") > 1).over("bike")}}, r"other rows \(over\)"),
        ({"row_rules": {"x": pl.lit(value=True)}}, "names no column"),
        ({"row_rules": {"x": col("since").cast(pl.Int32) * 9 > 1}}, "may wrap"),
        ({"row_rules": {"day is present": col("since") > 1}}, "2 rules have this name"),
        ({"row_rules": [col("since") > 1]}, "dict of expressions"),
        ({"references": {"bike": "cars"}}, "names no table"),
        ({"references": {"car": "bikes"}}, "which the contract does not have"),
        ({"references": {"number": "bikes"}}, "of the same type"),
        ({"references": {("bike", "number"): "bikes"}}, "whose key is bike"),
        ({"references": {"bike": ("bikes", "name")}}, "no such column"),
        ({"references": {"bike": "raw_bikes"}}, "no contract checks"),
        ({"references": ("bike",)}, "dict of tables"),
        ({"references": {"bike": 5}}, "has to name columns"),
    ],
)
def test_a_rule_or_reference_that_cannot_be_kept_is_refused_when_the_tables_load(
    properties, problem
):
    with pytest.raises(SetupError, match=problem):
        declare(**properties)


def test_a_table_with_keys_refers_to_no_other():
    class Refers(Bike):
        class Table:
            key = ("bike",)
            sequence = ("seen",)
            references = {"bike": "owned"}  # noqa: RUF012

    @staged(Owned)
    def owned(raw_bikes: LazyFrame) -> LazyFrame:
        """Owned bikes."""
        return raw_bikes

    with pytest.raises(SetupError, match="which a table with keys cannot"):
        catalog_of(raw_bikes=raw_bikes, owned=owned, bikes=staged(Refers, mode="upsert")(bikes))


def test_rules_and_references_are_part_of_the_version_of_a_contract():
    def version(**properties):
        table = type("Table", (), properties)
        return compute_contract_version(
            type("C", (Contract,), {"__annotations__": {"a": int, "b": int}, "Table": table})
        )

    plain = version()
    assert plain == version(row_rules={}, references={})
    others = [
        version(row_rules={"x": col("a") > col("b")}),
        version(row_rules={"x": col("a") >= col("b")}),
        version(references={"a": "t"}),
        version(references={"a": ("t", "z")}),
    ]
    assert len({plain, *others}) == 5
