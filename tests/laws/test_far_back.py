"""Law 4 far back: rewriting a day ninety days ago changes exactly the 7-day means that include it."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars import col
from support.worlds import bring_up_to_date, deliver, world

from lakehouse.calendar import Days
from lakehouse.observe.overview import list_audits
from samples import generate
from samples.files import gzipped

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
COUNTRY = "United Kingdom"


def of_samples(folder, _):
    generate(folder, days=98, rows=60, seed=7)
    return folder / "invoice_lines", folder / "fx_rates"


def of_real_days(folder, request):
    real = request.getfixturevalue("real")
    days, rates = folder / "invoice_lines", folder / "fx_rates"
    for target, files in (
        (days, sorted((real / "online_retail/by_day").glob("*.csv.gz"))[:80]),
        (rates, [max((real / "ecb_fx").glob("*.zip"))]),
    ):
        target.mkdir()
        for file in files:
            (target / file.name).symlink_to(file)
    return days, rates


@pytest.fixture(
    scope="module",
    params=[
        of_samples,
        pytest.param(of_real_days, marks=[pytest.mark.real_data, pytest.mark.full]),
    ],
    ids=["samples", "real"],
)
def rewritten(request, tmp_path_factory):
    """The mart of a hundred days before and after an early day is rewritten, what was made, and that day."""
    here = world(tmp_path_factory.mktemp("far_back"))
    days, rates = request.param(tmp_path_factory.mktemp("files"), request)
    deliver(here, "invoice_lines", *sorted(days.iterdir()))
    deliver(here, "fx_rates", *rates.iterdir())
    bring_up_to_date(here)
    before, versions = mart(here), {name: here.lake.version(name) for name in here.catalog.tables}
    day = before["sales_date"].max() - timedelta(days=90)
    day = before.filter(col("country") == COUNTRY, col("sales_date") >= day)["sales_date"].min()
    late = days.parent / "late.csv.gz"
    late.write_bytes(
        gzipped(f"{HEADER}\n599999,22423,LATE,3,{day} 11:00:00,2.50,,{COUNTRY}\n".encode())
    )
    deliver(here, "invoice_lines", late, at=datetime(2012, 1, 1, tzinfo=UTC))
    bring_up_to_date(here)
    made = {
        name: [
            d
            for a in list_audits(here, name)
            if a.version > versions[name]
            for span in a.materialized
            for d in span
        ]
        for name in here.catalog.tables
    }
    return before, mart(here), made, day


def mart(here):
    """The mart; sums of floats differ in their last digits by the order in which they were added."""
    rows = (
        here.lake.scan("marts/daily_sales")
        .select(pl.exclude("^_.*$"))
        .sort("sales_date", "country")
        .collect()
    )
    return rows.with_columns(pl.selectors.float().round(6))


@pytest.mark.full
def test_exactly_the_means_that_it_enters_change(rewritten):
    before, after, _, day = rewritten
    keys = ["sales_date", "country"]
    changed = after.join(before, on=after.columns, how="anti", nulls_equal=True).select(keys)
    week = before.filter(
        col("country") == COUNTRY, col("sales_date").is_between(day, day + timedelta(days=6))
    )
    assert changed.rows() == week.select(keys).rows()
    assert before.select(keys).equals(after.select(keys))


@pytest.mark.full
def test_the_mean_of_each_grows_by_a_seventh_of_what_was_added(rewritten):
    before, after, _, day = rewritten
    both = after.join(before, on=["sales_date", "country"], suffix="_before")
    grown = both.select(
        "sales_date", "country", by=col("revenue_gbp_7d_mean") - col("revenue_gbp_7d_mean_before")
    )
    inside = (col("country") == COUNTRY) & col("sales_date").is_between(
        day, day + timedelta(days=6)
    )
    assert grown.filter(inside)["by"].to_list() == pytest.approx(
        [7.5 / 7] * grown.filter(inside).height, abs=1e-5
    )
    assert grown.filter(~inside)["by"].abs().max() < 1e-5


def test_as_many_periods_are_made_again_as_were_touched(rewritten):
    before, _, made, day = rewritten
    held = set(before["sales_date"])
    assert made["staged/invoice_lines"] == [day]
    assert sorted(made["marts/daily_sales"]) == [
        d for d in Days(day, day + timedelta(days=6)) if d in held
    ]
    assert {(d.year, d.month) for d in made["marts/product_months"]} == {(day.year, day.month)}
