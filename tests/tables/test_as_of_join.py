"""Histories for their readers: the version of a moment, and what a log shows of a person."""

from datetime import date

import polars as pl
from polars import LazyFrame, col
from support.worlds import bring_up_to_date, catalog_of, world, write

from lakehouse.storage.lake import list_data_files
from lakehouse.tables.as_of_join import join_as_of
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged


def on(number: int) -> date:
    return date(2024, 3, number)


PRICES = pl.LazyFrame(
    {
        "shop": ["a", "a", "b"],
        "sku": ["x", "x", "x"],
        "price": [1, 2, 9],
        "valid_from": [on(1), on(10), on(5)],
        "valid_to": [on(10), None, on(20)],
        "is_current": [False, True, False],
    }
)


def test_a_key_of_several_columns_is_joined_by_all_of_them():
    days = [1, 10, 4, 5, 20]
    sales = pl.LazyFrame(
        {"shop": [*"aabbb"], "sku": "x", "day": [on(day) for day in days], "n": range(5)}
    )
    found = (
        join_as_of(sales, PRICES, on=("shop", "sku"), at="day", columns={"price": "paid"})
        .sort("n")
        .collect()
    )
    assert found.columns == ["shop", "sku", "day", "n", "paid"]
    assert found["paid"].to_list() == [1, 2, None, 9, None]


class Stay(Contract):
    """Where a patient is, from a day that is personal data."""

    patient: str
    since: date = Field(pii=True)
    ward: str

    class Table:
        key = ("patient",)
        sequence = ("since",)


def test_the_log_does_not_tell_when_versions_began_if_that_is_personal(tmp_path):
    @staged(Stay, mode="history")
    def stays(raw_stays: LazyFrame) -> LazyFrame:
        """Stays."""
        return cast(raw_stays, since=col("since").str.to_date("%Y-%m-%d", strict=False))

    catalog = catalog_of(
        raw_stays=raw("stays", "Stays.", columns=("patient", "since", "ward")), stays=stays
    )
    here = world(tmp_path, catalog)
    write(here, "stays", "a.csv", "patient,since,ward\n1,2024-03-01,east\n1,2024-03-05,west\n")
    bring_up_to_date(here)
    known = list_data_files(here.lake.open("staged/stays"))
    assert known["min.ward"].to_list() == ["east"]
    assert known.select("min.since", "min.valid_from", "max.valid_to").null_count().row(0) == (
        1,
        1,
        1,
    )
