"""Clean, typed tables of the retail domain."""

import polars as pl
from polars import LazyFrame, col

from assets.retail import DAILY, OWNER
from assets.retail.raw import invoice_lines as raw_lines
from checks.retail import Customer, FxRate, InvoiceLine, Product
from lakehouse.tables import cast, staged

PRODUCT_CODE = r"^\d{5}[A-Z]{0,2}$"
LOCAL = col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
STOCK_CODE = col("StockCode").str.strip_chars().str.to_uppercase()
TEXT = col("Description").str.strip_chars().replace("", None)
DESCRIPTION = TEXT.str.replace_all(r"\s{2,}|[^\S ]", " ")
"""Runs of blanks become one. Replacing single blanks as well takes 3 times as long."""

PRICE = col("UnitPrice").cast(pl.Float64, strict=False)
CUSTOMER_ID = col("CustomerID").str.strip_suffix(".0").cast(pl.Int64, strict=False)
COUNTRY = col("Country").str.strip_chars()


@staged(InvoiceLine, partitions=DAILY, distinct=tuple(raw_lines.columns), owner=OWNER)
def invoice_lines(raw_invoice_lines: LazyFrame) -> LazyFrame:
    """Typed invoice lines; exact repeats of a received line are superseded."""
    in_london = LOCAL.dt.replace_time_zone(
        "Europe/London", ambiguous="earliest", non_existent="null"
    )
    return cast(
        raw_invoice_lines,
        invoice=col("InvoiceNo").str.strip_chars().str.to_uppercase(),
        stock_code=STOCK_CODE,
        description=DESCRIPTION,
        quantity=col("Quantity").cast(pl.Int32, strict=False),
        unit_price=PRICE,
        customer_id=CUSTOMER_ID,
        country=COUNTRY,
        invoiced_at=in_london.dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        invoice_date=LOCAL.dt.date(),
    ).with_columns(
        is_cancellation=col("invoice").str.starts_with("C"),
        is_service=~col("stock_code").str.contains(PRODUCT_CODE),
    )


@staged(
    Product,
    mode="history",
    leave_out={"no description": TEXT.is_null(), "stock remark, at price 0": PRICE == 0},
    owner=OWNER,
)
def products(raw_invoice_lines: LazyFrame) -> LazyFrame:
    """What each product was called, and when; of several texts on a day the last one counts."""
    return cast(
        raw_invoice_lines,
        stock_code=STOCK_CODE,
        described_on=LOCAL.dt.date(),
        description=DESCRIPTION,
    )


@staged(Customer, mode="history", leave_out={"anonymous": col("CustomerID").is_null()}, owner=OWNER)
def customers(raw_invoice_lines: LazyFrame) -> LazyFrame:
    """Where each customer was, and when; of several countries on a day the last one counts."""
    return cast(
        raw_invoice_lines, customer_id=CUSTOMER_ID, seen_on=LOCAL.dt.date(), country=COUNTRY
    )


def unpivot_rates(raw_fx_rates: LazyFrame) -> LazyFrame:
    """Returns a row for each day and currency: `Date`, `currency`, `rate_text` and the origin."""
    currencies = [
        name
        for name in raw_fx_rates.collect_schema()
        if name != "Date" and not name.startswith("_")
    ]
    kept = ["Date", *(name for name in raw_fx_rates.collect_schema() if name.startswith("_"))]
    return raw_fx_rates.unpivot(
        currencies, index=kept, variable_name="currency", value_name="rate_text"
    )


@staged(
    FxRate,
    explode=unpivot_rates,
    leave_out={
        "no rate was set": col("rate_text").fill_null("N/A").str.strip_chars().is_in(["N/A", ""])
    },
    owner=OWNER,
)
def fx_rates(raw_fx_rates: LazyFrame) -> LazyFrame:
    """Reference rates in long form; the latest delivery of a day and currency wins."""
    return cast(
        raw_fx_rates,
        rate_date=col("Date").str.to_date("%Y-%m-%d", strict=False),
        rate=col("rate_text").cast(pl.Float64, strict=False),
    )
