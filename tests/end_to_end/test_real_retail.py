"""Three hundred real days from landing to marts, compared with figures computed without the pipeline."""

import shutil
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import pytest
from independent import retail_figures
from polars import col
from polars.testing import assert_frame_equal
from support.sizes import full
from support.worlds import NOW, bring_up_to_date, deliver, land_all, retail, world, write

from lakehouse.calendar import Days
from lakehouse.observe.overview import list_audits
from lakehouse.transform.make import make

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow("a whole year of real files is landed and made once"),
]


@pytest.fixture(scope="module")
def here(real, tmp_path_factory):
    """The whole year, landed and made once."""
    here = world(tmp_path_factory.mktemp("real"))
    deliver(here, "invoice_lines", *sorted((real / "online_retail/by_day").glob("*.csv.gz")))
    deliver(here, "fx_rates", max((real / "ecb_fx").glob("*.zip")))
    bring_up_to_date(here)
    return here


@pytest.fixture(scope="module")
def kept(real):
    """The lines that a second opinion keeps."""
    return list(retail_figures.read_lines(real / "online_retail/by_day"))


def test_raw_holds_every_line_of_every_file(here):
    sources = here.lake.scan("raw/invoice_lines").select(
        pl.len(), col("_source").n_unique().alias("files")
    )
    assert sources.collect().row(0) == (541_909, 305)


def test_nothing_is_a_dead_letter(here):
    assert "quarantine/dead_letters" not in here.lake.tables()


def test_origins_are_unique_and_without_a_gap(here):
    offsets = (
        here.lake.scan("raw/invoice_lines")
        .group_by("_source")
        .agg(
            rows=pl.len(),
            distinct=col("_offset").n_unique(),
            first=col("_offset").min(),
            last=col("_offset").max(),
        )
    )
    whole = (col("first") == 1) & (col("last") == col("rows")) & (col("distinct") == col("rows"))
    assert offsets.filter(~whole).collect().is_empty()


def test_staged_lines_are_raw_lines_without_repeats_and_rejects(here):
    (audit,) = list_audits(here, "staged/invoice_lines")
    assert (audit.read, audit.superseded, audit.quarantined, audit.written) == (
        541_909,
        5268,
        2,
        536_639,
    )
    assert here.lake.scan("staged/invoice_lines").select(pl.len()).collect().item() == 536_639


def test_bad_debt_is_in_quarantine_with_its_rule_and_origin(here):
    rejected = here.lake.scan("quarantine/staged_invoice_lines").sort("_offset").collect()
    assert (
        rejected.select("Description", "UnitPrice", "_rules").rows()
        == [("Adjust bad debt", "-11062.06", ["unit_price >= 0"])] * 2
    )
    raw = here.lake.scan("raw/invoice_lines").filter(
        col("Description") == "Adjust bad debt", col("UnitPrice") < "0"
    )
    origin = raw.select("_source", "_offset").sort("_offset").collect()
    assert_frame_equal(rejected.select("_source", "_offset"), origin)


@pytest.mark.parametrize("table", list(retail().tables))
def test_the_books_of_every_commit_close(here, table):
    assert all(audit.accounted_rows == audit.read > 0 for audit in list_audits(here, table))


def test_nothing_is_stale(here):
    assert here.create_planner().find_stale_tables() == []


def test_daily_sales_equal_the_second_opinion(here, real, kept):
    rates = retail_figures.gbp_rates(max((real / "ecb_fx").glob("*.zip")))
    same(
        here,
        "marts/daily_sales",
        ["sales_date", "country"],
        retail_figures.daily_sales(kept, rates),
    )


@pytest.mark.full
def test_product_months_equal_the_second_opinion(here, kept):
    same(here, "marts/product_months", ["month", "stock_code"], retail_figures.product_months(kept))


def test_customers_equal_the_second_opinion(here, kept):
    figures = {(key,): figure for key, figure in retail_figures.customers(kept).items()}
    same(here, "marts/customers", ["customer_id"], figures)


@pytest.mark.full
@pytest.mark.parametrize(
    ("table", "value", "second_opinion"),
    [
        ("staged/products", "description", retail_figures.product_texts),
        ("staged/customers", "country", retail_figures.customer_countries),
    ],
)
def test_histories_equal_the_second_opinion(here, kept, table, value, second_opinion):
    history = here.lake.scan(table).sort("valid_from").collect()
    found = {key: {} for key in history[:, 0].unique()}
    for key, since, said in history.select(history.columns[0], "valid_from", value).iter_rows():
        found[key][since] = said
    assert history.height == {"staged/products": 4_484, "staged/customers": 4_388}[table]
    assert found == second_opinion(kept)


@pytest.mark.parametrize("until", [date(2011, 2, 1), full(date.max)])
def test_sales_know_their_product_and_country_as_of_their_day(here, kept, until):
    texts, countries = retail_figures.product_texts(kept), retail_figures.customer_countries(kept)
    wanted = Counter(
        (
            line.invoice_no,
            line.stock_code,
            line.invoice_date,
            retail_figures.value_on(texts.get(line.stock_code, {}), line.invoice_date),
            retail_figures.value_on(countries.get(line.customer_id, {}), line.invoice_date)
            or line.country,
        )
        for line in kept
        if line.invoice_date <= until
    )
    sales = here.lake.scan("marts/sales").filter(col("sales_date") <= until)
    rows = sales.select("invoice", "stock_code", "sales_date", "product", "country").collect()
    assert Counter(rows.iter_rows()) == wanted


@pytest.fixture
def later(here, tmp_path):
    """A copy of the lake, into which something more is delivered."""
    shutil.copytree(here.lake.root, tmp_path / "lake")
    return world(tmp_path)


def longest_gap(days):
    """The two neighbours of some days that are farthest apart."""
    return max(pairwise(sorted(days)), key=lambda ends: ends[1] - ends[0])


def days_of_commits(here, table, since):
    """The days that commits of a table made after a version; a day made twice is there twice."""
    made = [
        span
        for audit in list_audits(here, table)
        if audit.version > since
        for span in audit.materialized
    ]
    return sorted(day for span in made for day in span)


def deliver_line(here, *fields):
    write(
        here,
        "invoice_lines",
        "late.csv",
        f"{retail_figures.HEADER}\n{','.join(map(str, fields))}\n",
    )


def test_a_late_line_of_a_customer_makes_the_days_of_that_customer_again_and_no_others(later, kept):
    by_customer, open_days = {}, sorted({line.invoice_date for line in kept})
    for line in kept:
        by_customer.setdefault(line.customer_id, set()).add(line.invoice_date)
    del by_customer[None]
    customer = max(
        (one for one in by_customer if len(by_customer[one]) > 5),
        key=lambda one: gap(by_customer[one]),
    )
    before, following = longest_gap(by_customer[customer])
    between = [day for day in open_days if before < day < following]
    since = {name: later.lake.version(name) for name in ("marts/sales", "marts/daily_sales")}
    deliver_line(later, 700001, "POST", "", 1, f"{between[0]} 10:00:00", 1, customer, "Atlantis")
    bring_up_to_date(later)
    weeks = [day for day in open_days if between[0] <= day < between[0] + timedelta(days=7)]
    assert days_of_commits(later, "marts/sales", since["marts/sales"]) == [between[0]]
    assert days_of_commits(later, "marts/daily_sales", since["marts/daily_sales"]) == weeks
    assert len(between) > len(weeks) > 1


def gap(days):
    first, last = longest_gap(days)
    return (last - first).days, -min(days).toordinal()


@pytest.mark.full
def test_a_late_text_of_a_product_makes_the_days_of_that_product_again_until_its_next_text(
    later, kept
):
    texts, sold = {}, {}
    for line in kept:
        sold.setdefault(line.stock_code, set()).add(line.invoice_date)
        if line.description is not None and line.price:
            texts.setdefault(line.stock_code, set()).add(line.invoice_date)
    late = date(2011, 3, 1)
    ends = {
        code: min((day for day in texts.get(code, ()) if day > late), default=date.max)
        for code in sold
    }
    inside = {
        code: [day for day in sorted(sold[code]) if late < day < ends[code]]
        for code in sold
        if late not in sold[code]
    }
    code = max(inside, key=lambda code: (len(inside[code]), code))
    since = later.lake.version("marts/sales")
    deliver_line(later, 700001, code, "A LATE TEXT", 1, f"{late} 10:00:00", 1, "", "France")
    bring_up_to_date(later)
    assert days_of_commits(later, "marts/sales", since) == [late, *inside[code]]
    assert len(inside[code]) > 1
    told = later.lake.scan("marts/sales").filter(
        col("stock_code") == code, col("product") == "A LATE TEXT"
    )
    assert sorted(told.select(col("sales_date").unique()).collect().to_series()) == [
        late,
        *inside[code],
    ]


def same(here, table, key, figures):
    """A mart equals other figures row by row; money to a millionth."""
    mart = here.lake.scan(table).select(*here.catalog[table].schema).sort(key).collect()
    fields = next(iter(figures.values()))._fields
    assert {*key, *fields} == set(mart.columns)
    wanted = pl.DataFrame(
        [(*keys, *(plain(value) for value in figure)) for keys, figure in figures.items()],
        schema={name: mart.schema[name] for name in (*key, *fields)},
        orient="row",
    )
    assert_frame_equal(mart.select(wanted.columns), wanted.sort(key), rel_tol=1e-6, abs_tol=1e-6)


def plain(value):
    """A figure as a mart holds it."""
    return value if value is None or isinstance(value, int | date) else float(value)


MARCH = Days(date(2011, 3, 1), date(2011, 3, 31))


def marts_of(here):
    return [name for name in here.lake.tables() if name.startswith("marts/")]


def test_a_backfill_of_a_month_without_news_makes_no_mart_again(later):
    before = {name: later.lake.version(name) for name in marts_of(later)}
    audit = make(later.lake, later.catalog, "staged/invoice_lines", MARCH, now=NOW)
    assert audit.unchanged == audit.materialized != ()
    assert audit.keeps_files
    bring_up_to_date(later)
    assert {name: later.lake.version(name) for name in marts_of(later)} == before


def test_a_backfill_of_a_month_with_one_changed_row_makes_exactly_its_readers_again(later, kept):
    day = min(line.invoice_date for line in kept if line.invoice_date >= MARCH.first)
    since = {name: later.lake.version(name) for name in marts_of(later)}
    deliver_line(later, 700002, "POST", "", 1, f"{day} 10:00:00", 1, "", "Atlantis")
    land_all(later)
    audit = make(later.lake, later.catalog, "staged/invoice_lines", MARCH, now=NOW)
    changed = {one for span in audit.materialized for one in span}
    changed -= {one for span in audit.unchanged for one in span}
    assert changed == {day}
    bring_up_to_date(later)
    assert days_of_commits(later, "marts/sales", since["marts/sales"]) == [day]
    week = {day + timedelta(days=number) for number in range(7)}
    assert set(days_of_commits(later, "marts/daily_sales", since["marts/daily_sales"])) <= week
