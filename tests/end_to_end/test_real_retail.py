"""Three hundred real days from landing to marts, held against figures worked out without the pipeline."""

from collections import Counter
from datetime import date

import polars as pl
import pytest
from independent import retail_figures
from polars import col
from polars.testing import assert_frame_equal
from support.worlds import bring_up_to_date, deliver, retail, world

from lakehouse.overview import audits

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


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
    sources = here.lake.scan("raw/invoice_lines").select(pl.len(), col("_source").n_unique().alias("files"))
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
    (audit,) = audits(here, "staged/invoice_lines")
    assert (audit.read, audit.superseded, audit.quarantined, audit.written) == (541_909, 5268, 2, 536_639)
    assert here.lake.scan("staged/invoice_lines").select(pl.len()).collect().item() == 536_639


def test_bad_debt_is_in_quarantine_with_its_rule_and_origin(here):
    rejected = here.lake.scan("quarantine/staged_invoice_lines").sort("_offset").collect()
    assert (
        rejected.select("Description", "UnitPrice", "_rules").rows()
        == [("Adjust bad debt", "-11062.06", ["unit_price >= 0"])] * 2
    )
    raw = here.lake.scan("raw/invoice_lines").filter(col("Description") == "Adjust bad debt", col("UnitPrice") < "0")
    origin = raw.select("_source", "_offset").sort("_offset").collect()
    assert_frame_equal(rejected.select("_source", "_offset"), origin)


@pytest.mark.parametrize("table", list(retail().tables))
def test_the_books_of_every_commit_close(here, table):
    assert all(audit.accounted == audit.read > 0 for audit in audits(here, table))


def test_nothing_is_stale(here):
    assert here.planner().stale() == []


def test_daily_sales_equal_the_second_opinion(here, real, kept):
    rates = retail_figures.gbp_rates(max((real / "ecb_fx").glob("*.zip")))
    same(here, "marts/daily_sales", ["sales_date", "country"], retail_figures.daily_sales(kept, rates))


def test_product_months_equal_the_second_opinion(here, kept):
    same(here, "marts/product_months", ["month", "stock_code"], retail_figures.product_months(kept))


def test_customers_equal_the_second_opinion(here, kept):
    figures = {(key,): figure for key, figure in retail_figures.customers(kept).items()}
    same(here, "marts/customers", ["customer_id"], figures)


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


def test_sales_know_their_product_and_country_as_of_their_day(here, kept):
    texts, countries = retail_figures.product_texts(kept), retail_figures.customer_countries(kept)
    wanted = Counter(
        (
            line.invoice_no,
            line.stock_code,
            line.invoice_date,
            retail_figures.value_on(texts.get(line.stock_code, {}), line.invoice_date),
            retail_figures.value_on(countries.get(line.customer_id, {}), line.invoice_date) or line.country,
        )
        for line in kept
    )
    sales = here.lake.scan("marts/sales").select("invoice", "stock_code", "sales_date", "product", "country")
    assert Counter(sales.collect().iter_rows()) == wanted


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
