"""The retail transforms as plain functions: LazyFrames in, a LazyFrame out, no Dagster and no lake."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from assets.retail import marts, staged
from assets.retail.raw import invoice_lines as raw_lines
from lakehouse.system_columns import BROKEN
from lakehouse.tables.rules import compile_rules, list_broken_rules, list_unread_rules

LINE = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HANGING HEART",
    "Quantity": "6",
    "InvoiceDate": "2010-12-01 08:26:00",
    "UnitPrice": "2.55",
    "CustomerID": "17850",
    "Country": "United Kingdom",
}


def lines(*changes: dict) -> pl.LazyFrame:
    """Invoice lines as received."""
    return pl.LazyFrame([LINE | change for change in changes], schema=raw_lines.columns)


def line(**change: str | None) -> dict:
    """One staged line."""
    return staged.invoice_lines.transform(lines(change)).collect().row(0, named=True)


def reasons(**change: str | None) -> list[str]:
    """The rules that a line breaks."""
    rows = staged.invoice_lines.transform(lines(change))
    rules = (
        *list_unread_rules(rows.collect_schema()),
        *compile_rules(staged.invoice_lines.contract),
    )
    return rows.select(list_broken_rules(rules)).collect()[BROKEN].to_list()[0]


def test_a_line_is_typed():
    found = line()
    assert (found["invoice"], found["quantity"], found["unit_price"], found["customer_id"]) == (
        "536365",
        6,
        2.55,
        17850,
    )
    assert found["invoiced_at"] == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert reasons() == []


def test_times_in_summer_are_an_hour_earlier_in_utc():
    assert line(InvoiceDate="2011-07-01 08:26:00")["invoiced_at"] == datetime(
        2011, 7, 1, 7, 26, tzinfo=UTC
    )


def test_a_day_is_the_day_in_london():
    found = line(InvoiceDate="2011-07-01 00:30:00")
    assert found["invoice_date"] == date(2011, 7, 1)
    assert found["invoiced_at"] == datetime(2011, 6, 30, 23, 30, tzinfo=UTC)


def test_a_time_that_the_clocks_skipped_cannot_be_read():
    assert line(InvoiceDate="2011-03-27 01:30:00")["invoiced_at"] is None
    assert "invoiced_at can be read" in reasons(InvoiceDate="2011-03-27 01:30:00")


def test_a_time_that_the_clocks_showed_twice_is_the_earlier_one():
    assert line(InvoiceDate="2011-10-30 01:30:00")["invoiced_at"] == datetime(
        2011, 10, 30, 0, 30, tzinfo=UTC
    )


@pytest.mark.parametrize("text", ["01/12/2010 08:26", "2010-12-01", "2010-13-01 08:26:00", "x"])
def test_a_time_in_another_form_is_quarantined(text):
    assert {"invoiced_at can be read", "invoice_date can be read"} <= set(reasons(InvoiceDate=text))


@pytest.mark.parametrize(
    ("text", "number"),
    [("17850.0", 17850), ("17850", 17850), ("", None), (None, None), ("  ", None)],
)
def test_customer_numbers_lose_the_point_that_a_spreadsheet_gave_them(text, number):
    assert line(CustomerID=text)["customer_id"] == number
    assert reasons(CustomerID=text) == []


@pytest.mark.parametrize("text", ["17850.5", "abc", "1e5"])
def test_a_customer_number_that_is_none_is_quarantined_though_it_may_be_missing(text):
    assert reasons(CustomerID=text) == ["customer_id can be read"]


@pytest.mark.parametrize(
    ("code", "clean", "is_service"),
    [
        ("85123a", "85123A", False),
        (" post ", "POST", True),
        ("gift_0001_20", "GIFT_0001_20", True),
        ("22423", "22423", False),
    ],
)
def test_codes_are_upper_case_and_tell_services_from_products(code, clean, is_service):
    found = line(StockCode=code)
    assert (found["stock_code"], found["is_service"]) == (clean, is_service)


@pytest.mark.parametrize(
    ("number", "clean", "is_cancellation"),
    [("c536379", "C536379", True), (" 536365 ", "536365", False), ("A563185", "A563185", False)],
)
def test_invoice_numbers_tell_cancellations(number, clean, is_cancellation):
    found = line(InvoiceNo=number)
    assert (found["invoice"], found["is_cancellation"]) == (clean, is_cancellation)


@pytest.mark.parametrize(
    ("text", "clean"), [("  RED \t  MUG ", "RED MUG"), ("   ", None), ("", None), (None, None)]
)
def test_descriptions_are_folded_and_blanks_are_missing(text, clean):
    assert line(Description=text)["description"] == clean
    assert reasons(Description=text) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"Quantity": "0"}, "quantity != 0"),
        ({"Quantity": "six"}, "quantity can be read"),
        ({"Quantity": "2.5"}, "quantity can be read"),
        ({"Quantity": "99999999999"}, "quantity can be read"),
        ({"Quantity": ""}, "quantity is present"),
        ({"UnitPrice": "-1"}, "unit_price >= 0"),
        ({"UnitPrice": "NaN"}, "unit_price is present"),
        ({"UnitPrice": "1,50"}, "unit_price can be read"),
        ({"StockCode": "  "}, "stock_code has at least 1 character"),
        ({"Country": None}, "country is present"),
        ({"InvoiceNo": "53636"}, r"invoice matches ^[AC]?\d{6}$"),
    ],
)
def test_a_broken_field_names_its_rule(change, rule):
    assert rule in reasons(**change)


def rates_of(*rows: dict) -> pl.LazyFrame:
    cells = staged.unpivot_rates(pl.LazyFrame(list(rows)))
    return staged.fx_rates.transform(cells).collect().sort("rate_date", "currency")


def test_a_rate_table_becomes_a_row_for_each_day_and_currency():
    df = rates_of({"Date": "2011-01-03", "USD": "1.3", "GBP": "0.86", "_source": "f", "_offset": 1})
    assert df.select("rate_date", "currency", "rate", "_source").rows() == [
        (date(2011, 1, 3), "GBP", 0.86, "f"),
        (date(2011, 1, 3), "USD", 1.3, "f"),
    ]


@pytest.mark.parametrize("text", ["N/A", "", "  ", None, " N/A "])
def test_a_rate_that_was_not_set_is_left_out(text):
    rule = staged.fx_rates.leave_out["no rate was set"]
    assert (
        pl.DataFrame({"rate_text": [text]}, schema={"rate_text": pl.String}).select(rule).item()
        is True
    )


def test_a_rate_that_cannot_be_read_is_not_left_out():
    assert rates_of({"Date": "2011-01-03", "USD": "one"})["_unread_rate"].to_list() == [True]
    assert (
        pl.DataFrame({"rate_text": ["one"]}).select(*staged.fx_rates.leave_out.values()).item()
        is False
    )


SALE = {
    "invoice": "536365",
    "quantity": 2,
    "unit_price": 5.0,
    "customer_id": 1,
    "country": "France",
    "invoice_date": date(2011, 1, 10),
    "is_cancellation": False,
}
RATES = pl.LazyFrame(
    {
        "rate_date": [date(2011, 1, 7), date(2011, 1, 7), date(2011, 1, 11)],
        "currency": ["GBP", "USD", "GBP"],
        "rate": [0.5, 9.0, 0.8],
    }
)


# Customer 1 stays in France, 2 moves from Spain to Italy, 3 is gone since the 12th.
PLACES = pl.LazyFrame(
    {
        "customer_id": [1, 2, 2, 3],
        "country": ["France", "Spain", "Italy", "Malta"],
        "valid_from": [date(2011, 1, 1), date(2011, 1, 1), date(2011, 1, 12), date(2011, 1, 1)],
        "valid_to": [None, date(2011, 1, 12), None, date(2011, 1, 12)],
        "is_current": [True, False, True, False],
    }
)


def sales(*changes: dict) -> pl.LazyFrame:
    return pl.LazyFrame(
        [SALE | change for change in changes],
        schema_overrides={"quantity": pl.Int32, "customer_id": pl.Int64},
    )


def daily(*changes: dict, rates: pl.LazyFrame = RATES) -> pl.DataFrame:
    return (
        marts.daily_sales.transform(sales(*changes), rates, PLACES)
        .collect()
        .sort("sales_date", "country")
    )


def on(number: int, **more) -> dict:
    return {"invoice_date": date(2011, 1, number), **more}


def test_a_day_adds_up_by_country():
    df = daily({}, {"quantity": 1, "invoice": "536366"}, {"customer_id": 2, "country": "Spain"})
    assert df.select("country", "revenue_gbp", "units", "invoices", "lines").rows() == [
        ("France", 15.0, 3, 2, 2),
        ("Spain", 10.0, 2, 1, 1),
    ]


def test_a_return_takes_revenue_off_and_is_no_invoice():
    df = daily({}, {"quantity": -3, "invoice": "C536366", "is_cancellation": True})
    assert df.select("revenue_gbp", "units", "returns", "invoices").rows() == [(-5.0, 2, 3, 1)]


def test_absent_days_count_as_nothing_in_the_mean_of_seven_days():
    df = daily(on(10), on(13), on(16), on(17))
    assert df["revenue_gbp_7d_mean"].to_list() == pytest.approx([10 / 7, 20 / 7, 30 / 7, 30 / 7])


def test_the_mean_of_seven_days_is_that_of_the_country():
    df = daily(on(10, customer_id=2, country="Spain"), on(11))
    assert df["revenue_gbp_7d_mean"].to_list() == pytest.approx([10 / 7, 10 / 7])


@pytest.mark.parametrize(
    ("number", "customer", "country"),
    [
        (11, 2, "Spain"),
        (12, 2, "Italy"),
        (30, 2, "Italy"),
        (11, 3, "Malta"),
        (12, 3, "as booked"),
        (10, None, "as booked"),
    ],
)
def test_a_sale_is_where_the_customer_was_on_that_day(number, customer, country):
    assert daily(on(number, customer_id=customer, country="as booked"))["country"].to_list() == [
        country
    ]


@pytest.mark.parametrize(("number", "rate"), [(7, 0.5), (8, 0.5), (10, 0.5), (11, 0.8), (30, 0.8)])
def test_euros_are_by_the_last_rate_known_on_the_day(number, rate):
    assert daily(on(number))["revenue_eur"].to_list() == pytest.approx([10 / rate])


@pytest.mark.parametrize("rates", [RATES, RATES.head(0)])
def test_without_any_rate_there_are_no_euros(rates):
    assert daily(on(6), rates=rates).select("revenue_gbp", "revenue_eur").rows() == [(10.0, None)]


def test_the_order_of_lines_and_rates_does_not_matter():
    changes = [on(12), on(10), on(11, customer_id=2, country="Spain"), on(10, quantity=1)]
    assert daily(*changes).equals(daily(*changes[::-1], rates=RATES.reverse()))


def test_no_lines_make_no_days():
    assert marts.daily_sales.transform(sales({}).head(0), RATES, PLACES).collect().is_empty()


def customers(*changes: dict) -> pl.DataFrame:
    return marts.customers.transform(sales(*changes)).collect().sort("customer_id")


def test_recency_counts_from_the_newest_line_of_anybody():
    df = customers(on(10), on(12), on(20, customer_id=2))
    assert df.select(
        "customer_id", "first_purchase_date", "last_purchase_date", "recency_days"
    ).rows() == [
        (1, date(2011, 1, 10), date(2011, 1, 12), 8),
        (2, date(2011, 1, 20), date(2011, 1, 20), 0),
    ]


def test_a_customer_who_only_returned_has_no_purchase():
    df = customers({"quantity": -2, "is_cancellation": True, "invoice": "C1"})
    assert df.select(
        "last_purchase_date", "recency_days", "frequency", "monetary_gbp", "returns"
    ).rows() == [(None, None, 0, -10.0, 2)]


def test_lines_of_one_invoice_are_one_visit():
    assert customers({}, {}, {"invoice": "536366"})["frequency"].to_list() == [2]


def test_anonymous_lines_are_left_out():
    rule = marts.customers.leave_out["anonymous"]
    assert sales({}, {"customer_id": None}).select(rule).collect().to_series().to_list() == [
        False,
        True,
    ]


def test_transforms_collect_nothing_and_keep_what_they_were_given():
    given = lines({}).with_columns(_source=pl.lit("f"))
    returned = staged.invoice_lines.transform(given)
    assert isinstance(returned, pl.LazyFrame)
    assert set(given.collect_schema()) <= set(returned.collect_schema())
