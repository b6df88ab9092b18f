"""Batches of a write into many files: each row once, in large batches, rare rows with own text."""

from datetime import date, timedelta

import polars as pl
import pytest
from arro3.core import ChunkedArray
from polars.testing import assert_frame_equal

from lakehouse.publish.audit import Audit
from lakehouse.publish.coalesce_batches import BatchCoalescer
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Partitioning, ReplaceAll
from lakehouse.storage.lake import Lake
from lakehouse.storage.limits import BatchLimits, WriteLimits

TABLE = "staged/t"
FIRST = date(2024, 1, 1)
RARE = [date(2024, 7, 1), None]


SMALL = BatchLimits(large_rows=300, company_rows=7)
"""A few rows make a large batch."""


def rows(height: int) -> pl.DataFrame:
    """Rows of three months, and a few of two others, strewn among them."""
    number = pl.int_range(height, eager=True)
    day = pl.select(
        pl.when(number % 401 == 0)
        .then(pl.lit(FIRST + timedelta(days=200)))
        .when(number % 997 == 0)
        .then(pl.lit(None, pl.Date))
        .otherwise(FIRST + pl.duration(days=number % 90))
    ).to_series()
    return pl.DataFrame({"n": number, "day": day, "text": number.cast(pl.String) + " " * 20 + "x"})


def batches(frame: pl.DataFrame, size: int, limits: BatchLimits = SMALL) -> list[pl.DataFrame]:
    """Returns the batches that a frame becomes; rows that waited at the end are the last one."""
    frame = frame.with_columns(pl.col("day").dt.month_start().alias("_month"))
    one = BatchCoalescer("_month", limits)
    return [*(one._join(batch) for batch in frame.iter_slices(size)), one._finish(frame.schema)]


def put(lake: Lake, frame: pl.DataFrame) -> Audit:
    """Publishes a frame by months."""
    request = ReplaceAll(TABLE, frame.lazy(), partitioning=Partitioning("day", "month"))
    return publish(
        lake, request, lambda found: Audit(TABLE, "replace", read=found.rows, written=found.rows)
    )


def rare(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.filter(pl.col("_month").is_in(RARE, nulls_equal=True))


@pytest.mark.parametrize("size", [1, 299, 300, 450, 5000, 50_000])
def test_every_row_is_kept_once(size):
    frame = rows(20_000)
    assert_frame_equal(pl.concat(batches(frame, size)).drop("_month").sort("n"), frame)


@pytest.mark.parametrize("size", [10, 20, 299])
def test_small_batches_become_large_ones(size):
    *all_but_last, last = batches(rows(20_000), size)
    assert {batch.height for batch in all_but_last if batch.height < 290} <= {0}
    assert last.height < 310
    assert all(batch.n_chunks() == 1 for batch in (*all_but_last, last) if batch.height)


def test_few_rows_wait_in_a_limited_number_of_batches():
    """Each batch keeps the text that it was read with, and all batches are counted each time."""
    sizes = [batch.height for batch in batches(rows(500), 1, BatchLimits())]
    assert {*sizes[:-1]} == {0, 32}
    assert sizes[-1] == 500 % 32


def test_rows_of_rare_partitions_wait_until_they_are_enough():
    *all_but_last, last = batches(rows(20_000), 450)
    company = [found for found in (rare(batch).height for batch in all_but_last) if found]
    assert (min(company) >= 7, len(company) * 4 < len(all_but_last), rare(last).height < 7) == (
        True,
        True,
        True,
    )


def test_rows_of_rare_partitions_have_text_of_their_own():
    """An array of views counts the buffers that it keeps, whatever of them it shows."""
    one, frame = (
        BatchCoalescer("_month", SMALL),
        rows(20_000).with_columns(pl.col("day").dt.month_start().alias("_month")),
    )
    for batch in frame.iter_slices(450):
        one._join(batch)
        assert sum(ChunkedArray.from_arrow(waiting["text"]).nbytes for waiting in one._rare) < 1000


def test_batches_in_which_every_partition_is_rare_are_not_changed():
    days = pl.DataFrame({"n": range(5000)}).with_columns(
        day=FIRST + pl.duration(days=pl.col("n") * 31)
    )
    *all_but_last, last = batches(days, 500)
    assert [batch.height for batch in all_but_last] == [500] * 10
    assert last.is_empty()


def test_each_partition_is_one_file(tmp_path):
    lake, frame = Lake(str(tmp_path), limits=WriteLimits(batches=SMALL)), rows(60_000)
    audit = put(lake, frame)
    assert (audit.rows, audit.version, audit.files) == (60_000, 0, 5)
    assert_frame_equal(lake.scan(TABLE).drop("_month").collect().sort("n"), frame)


def test_a_table_without_rows_is_written(tmp_path):
    lake = Lake(str(tmp_path))
    audit = put(lake, rows(0))
    assert (audit.rows, audit.version, lake.scan(TABLE).collect().height) == (0, 0, 0)
