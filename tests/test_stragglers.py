"""Rows of nearly empty partitions in a large write: each is written once, and does not keep what it was read with."""

from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lakehouse import stragglers
from lakehouse.audit import Audit
from lakehouse.lake import Lake
from lakehouse.publish import publish
from lakehouse.sheet import Sheet
from lakehouse.stragglers import Stragglers

TABLE = "staged/t"
FIRST = date(2024, 1, 1)


@pytest.fixture
def small(monkeypatch):
    """What counts as large is small."""
    monkeypatch.setattr(stragglers, "_LARGE_WRITE", 1000)
    monkeypatch.setattr(stragglers, "_LARGE_BATCH", 300)
    monkeypatch.setattr(stragglers, "_COMPANY", 7)


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


def batches(frame: pl.DataFrame, size: int) -> tuple[list[pl.DataFrame], Stragglers]:
    """What becomes of a frame that comes in batches."""
    frame = frame.with_columns(pl.col("day").dt.month_start().alias("_month"))
    one = Stragglers("_month")
    return [one._batch(batch) for batch in frame.iter_slices(size)], one


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [1, 299, 300, 450, 5000])
def test_every_row_comes_back_once_or_is_left_over(size):
    frame = rows(20_000)
    returned, one = batches(frame, size)
    left = one.left_over()
    whole = pl.concat([*returned, *([] if left is None else [left])]).drop("_month")
    assert_frame_equal(whole.sort("n"), frame)


@pytest.mark.usefixtures("small")
def test_rows_of_rare_partitions_do_not_hold_the_text_of_their_batch():
    returned, one = batches(rows(20_000), 450)
    left = one.left_over()
    assert left is not None
    assert set(left["_month"]) <= {date(2024, 7, 1), None}
    assert left.height < 7
    assert any(batch.n_chunks() > 1 for batch in returned)


def test_a_small_write_is_left_as_it_is():
    returned, one = batches(rows(20_000), 450)
    assert all(batch.height == 450 for batch in returned[:-1])
    assert one.left_over() is None


@pytest.mark.usefixtures("small")
def test_a_write_in_which_every_partition_is_rare_is_left_as_it_is():
    days = pl.DataFrame({"n": range(5000)}).with_columns(day=FIRST + pl.duration(days=pl.col("n") * 31))
    returned, one = batches(days, 500)
    assert [batch.height for batch in returned] == [500] * 10
    assert one.left_over() is None


@pytest.mark.usefixtures("small")
def test_what_is_left_over_is_published_with_the_rest(tmp_path):
    lake, frame = Lake(str(tmp_path)), rows(60_000)
    sheet = Sheet(TABLE, frame.lazy(), "replace", window="day", physical="month")
    audit = publish(lake, sheet, lambda found: Audit(TABLE, "replace", read=found.rows, written=found.rows))
    assert (audit.rows, audit.version) == (60_000, 0)
    assert_frame_equal(lake.scan(TABLE).drop("_month").collect().sort("n"), frame)
