"""The independent figures hold for examples worked out by hand, and for what is known of the real files."""

import gzip
import zipfile
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from . import retail_figures as figures

DATA = Path(__file__).resolve().parents[3] / "shared/data"
RATES = {date(2011, 3, 1): Decimal("0.8"), date(2011, 3, 4): Decimal("0.5")}
RAW = "536365,85123A,LANTERN,6,2011-03-01 08:26:00,2.55,17850.0,United Kingdom"


def needs_real_data(test):
    missing = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data sets are not at {DATA}")
    return pytest.mark.real_data(missing(test))


def write_day(folder, day, *raw):
    with gzip.open(folder / f"{day}.csv.gz", "wt", encoding="utf-8", newline="") as opened:
        opened.write("\n".join((figures.HEADER, *raw, "")))


def judge(folder, *raw):
    write_day(folder, "2011-03-01", *raw)
    return list(figures.judged_lines(folder))


def line(day, quantity=1, price="1", **changes):
    at = datetime.fromisoformat(f"{day}T10:00:00")
    return figures.Line("1", "85123A", None, quantity, at, Decimal(price), None, "Malta")._replace(
        **changes
    )


# Reading


def test_a_line_is_cleaned(tmp_path):
    raw = (
        "c536365 , 85123a,  WHITE   LANTERN ,-6,2011-03-01 08:26:00,2.550,17850.0, United Kingdom "
    )
    (read,) = figures.kept_lines(judge(tmp_path, raw))
    at = datetime.fromisoformat("2011-03-01T08:26:00")
    expected = (
        "C536365",
        "85123A",
        "WHITE LANTERN",
        -6,
        at,
        Decimal("2.55"),
        17850,
        "United Kingdom",
    )
    assert read == expected
    assert (read.is_cancellation, read.is_service) == (True, False)
    assert (read.invoice_date, read.revenue_gbp) == (date(2011, 3, 1), Decimal("-15.30"))


def test_an_empty_description_and_customer_are_none(tmp_path):
    (read,) = figures.kept_lines(judge(tmp_path, "1,85123A,  ,6,2011-03-01 08:26:00,2.55,,Malta"))
    assert (read.description, read.customer_id) == (None, None)


def test_a_quoted_field_keeps_its_comma(tmp_path):
    (read,) = figures.kept_lines(
        judge(tmp_path, '1,85123A,"BOX, ""RED""",6,2011-03-01 08:26:00,2.55,,Malta')
    )
    assert read.description == 'BOX, "RED"'


@pytest.mark.parametrize(
    ("code", "is_service"),
    [
        ("85123", False),
        ("85123AB", False),
        ("POST", True),
        ("C2", True),
        ("DCGS0003", True),
        ("85123ABC", True),
    ],
)
def test_a_service_is_a_code_that_no_product_has(code, is_service):
    assert line("2011-03-01", stock_code=code).is_service is is_service


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",6,", ",0,", "quantity_zero"),
        (",6,", ",6.5,", "quantity_not_an_integer"),
        ("2.55", "-0.01", "price_negative"),
        ("2.55", "NaN", "price_not_a_number"),
        ("2011-03-01 08:26:00", "01/03/2011 08:26", "invoice_time_invalid"),
        ("2011-03-01 08:26:00", "2011-03-27 01:30:00", "invoice_time_invalid"),
        ("17850.0", "17850.5", "customer_id_not_an_integer"),
        (",United Kingdom", "", "field_count"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(tmp_path, old, new, reason):
    assert judge(tmp_path, RAW.replace(old, new)) == [figures.Judged(figures.REJECTED, (reason,))]


@pytest.mark.parametrize(
    "at", ["2011-03-27 00:59:59", "2011-03-27 02:00:00", "2011-10-30 01:30:00"]
)
def test_a_time_at_the_edge_of_summer_is_kept(tmp_path, at):
    (judged,) = judge(tmp_path, RAW.replace("2011-03-01 08:26:00", at))
    assert judged.line.invoiced_at == datetime.fromisoformat(at)


def test_a_free_line_is_kept(tmp_path):
    assert judge(tmp_path, RAW.replace("2.55", "0.0"))[0].fate == figures.KEPT


def test_a_line_repeated_in_another_file_counts_once(tmp_path):
    write_day(tmp_path, "2011-02-28", RAW)
    assert [each.fate for each in judge(tmp_path, RAW)] == [figures.KEPT, figures.SUPERSEDED]


def test_a_line_that_differs_only_as_received_is_not_a_repetition(tmp_path):
    assert (
        len(list(figures.kept_lines(judge(tmp_path, RAW, RAW.replace("LANTERN", "LANTERN "))))) == 2
    )


def test_quality_counts_each_line_once_and_each_reason(tmp_path):
    bad = RAW.replace(",6,", ",0,").replace("2.55", "-1")
    counted = figures.quality(judge(tmp_path, RAW, RAW, bad, bad))
    assert counted == (4, 2, 1, 1, {"quantity_zero": 1, "price_negative": 1})


def test_a_folder_without_files_fails(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(figures.read_lines(tmp_path))


def test_another_header_fails(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt") as opened:
        opened.write("InvoiceNo,StockCode\n")
    with pytest.raises(ValueError, match="header"):
        list(figures.read_lines(tmp_path))


# Rates


def test_rates_leave_out_days_without_a_pound_rate(tmp_path):
    with zipfile.ZipFile(tmp_path / "ecb.zip", "w") as archive:
        wide = "Date,USD,GBP,\n2011-03-04,1.1,0.5,\n2011-03-02,1.2,N/A,\n2011-03-01,1.3,0.8,\n"
        archive.writestr("eurofxref-hist.csv", wide)
    assert figures.gbp_rates(tmp_path / "ecb.zip") == RATES


@pytest.mark.parametrize(("day", "rate"), [(1, "0.8"), (3, "0.8"), (4, "0.5"), (31, "0.5")])
def test_the_last_known_rate_holds_until_the_next(day, rate):
    assert figures.rate_on(RATES, date(2011, 3, day)) == Decimal(rate)


def test_a_day_before_the_first_rate_has_none():
    with pytest.raises(LookupError):
        figures.rate_on(RATES, date(2011, 2, 28))


# Daily sales


def test_returns_and_cancellations_reduce_a_day():
    lines = [
        line("2011-03-03", 10, "2.00", invoice_no="1"),
        line("2011-03-03", 1, "5.00", invoice_no="1", stock_code="POST"),
        line("2011-03-03", -3, "2.00", invoice_no="C2"),
        line("2011-03-03", -4, "0", invoice_no="3"),
    ]
    day = figures.daily_sales(lines, RATES)[date(2011, 3, 3), "Malta"]
    # 20 + 5 - 6 = 19 pounds, at 0.8 pounds for a euro
    week = pytest.approx(Decimal(19) / 7)
    assert day == (Decimal(19), Decimal("23.75"), 2, 11, 7, 4, week)


def test_the_seven_day_mean_counts_absent_days_as_zero_and_forgets_the_eighth():
    lines = [
        line("2011-03-01", 7),
        line("2011-03-03", 14),
        line("2011-03-07", 21),
        line("2011-03-08", 28),
    ]
    sales = figures.daily_sales(lines, RATES)
    means = {day.day: row.revenue_gbp_7d_mean for (day, _), row in sales.items()}
    assert means == {1: 1, 3: 3, 7: 6, 8: 9}


def test_countries_do_not_share_a_day_or_a_mean():
    lines = [line("2011-03-01", 7), line("2011-03-02", 14, country="Spain")]
    sales = figures.daily_sales(lines, RATES)
    assert {key: row.revenue_gbp_7d_mean for key, row in sales.items()} == {
        (date(2011, 3, 1), "Malta"): 1,
        (date(2011, 3, 2), "Spain"): 2,
    }


# Products by month


def test_a_product_month_is_net_and_counts_people_and_invoices_once():
    lines = [
        line("2011-03-01", 10, "2", invoice_no="1", customer_id=7),
        line("2011-03-31", 5, "2", invoice_no="1", customer_id=7),
        line("2011-03-31", 1, "2", invoice_no="2", customer_id=None),
        line("2011-03-31", -4, "2", invoice_no="C3", customer_id=8),
    ]
    assert figures.product_months(lines) == {
        (date(2011, 3, 1), "85123A"): (12, Decimal(24), 2, 2, 4)
    }


def test_months_and_stock_codes_are_apart():
    lines = [line("2011-03-31"), line("2011-04-01"), line("2011-04-30", stock_code="POST")]
    april = date(2011, 4, 1)
    assert set(figures.product_months(lines)) == {
        (date(2011, 3, 1), "85123A"),
        (april, "85123A"),
        (april, "POST"),
    }


# Customers


def test_a_customer_is_dated_by_purchases_and_valued_net():
    lines = [
        line("2011-03-01", 10, "2", invoice_no="1", customer_id=7),
        line("2011-03-05", 1, "3", invoice_no="2", customer_id=7),
        line("2011-03-09", -4, "2", invoice_no="C3", customer_id=7),
        line("2011-03-15", invoice_no="4"),
    ]
    first, last = date(2011, 3, 1), date(2011, 3, 5)
    assert figures.customers(lines) == {7: (first, last, 10, 2, Decimal(15), 4, 3)}


def test_a_customer_who_only_returned_has_no_dates():
    lines = [line("2011-03-09", -4, "2", invoice_no="C3", customer_id=7)]
    assert figures.customers(lines) == {7: (None, None, None, 0, Decimal(-8), 4, 1)}


def test_lines_without_a_customer_are_anonymous():
    lines = [line("2011-03-01"), line("2011-03-01", customer_id=7), line("2011-03-02")]
    assert figures.anonymous_lines(lines) == 2


# The real files


@pytest.fixture(scope="module")
def real_judged():
    return list(figures.judged_lines(DATA / "online_retail/by_day"))


@pytest.fixture(scope="module")
def real_lines(real_judged):
    return list(figures.kept_lines(real_judged))


@pytest.fixture(scope="module")
def real_rates():
    return figures.gbp_rates(DATA / "ecb_fx/eurofxref-hist_2025-12-03.zip")


@needs_real_data
def test_the_real_lines_have_the_known_fates(real_judged):
    assert figures.quality(real_judged) == (541_909, 5_268, 2, 536_639, {"price_negative": 2})


@needs_real_data
def test_the_real_lines_have_the_known_kinds(real_lines):
    assert sum(each.is_cancellation for each in real_lines) == 9_251
    assert sum(each.is_service for each in real_lines) == 2_987
    assert figures.anonymous_lines(real_lines) == 135_035


@needs_real_data
def test_the_real_days_have_the_known_totals(real_lines, real_rates):
    sales = figures.daily_sales(real_lines, real_rates)
    assert len(sales) == 1_716
    assert sum(row.revenue_gbp for row in sales.values()) == Decimal("9748131.074")
    assert round(sum(row.revenue_eur for row in sales.values()), 6) == Decimal("11249762.894136")


@needs_real_data
def test_the_real_products_add_up_to_all_lines(real_lines):
    months = figures.product_months(real_lines)
    assert len(months) == 34_147
    assert sum(row.lines for row in months.values()) == 536_639
    assert sum(row.revenue_gbp for row in months.values()) == Decimal("9748131.074")


@needs_real_data
def test_the_real_customers_add_up_to_the_named_lines(real_lines):
    people = figures.customers(real_lines)
    assert len(people) == 4_372
    assert sum(row.lines for row in people.values()) == 536_639 - 135_035
    assert sum(row.monetary_gbp for row in people.values()) == Decimal("8278519.424")
    assert sum(row.last_purchase_date is None for row in people.values()) == 33


@needs_real_data
def test_the_real_pound_rates_are_in_order_and_without_long_gaps(real_rates):
    days = list(real_rates)
    assert len(days) == 6_894
    assert all(0 < (later - earlier).days <= 5 for earlier, later in pairwise(days))
