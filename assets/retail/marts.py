"""What people ask of the retail domain."""

import polars as pl
from polars import LazyFrame, col

from assets.retail import DAILY, MONTHLY, OWNER
from checks.retail import CustomerFeatures, DailySales, ProductMonth, Sale
from lakehouse.tables import AsOf, join_as_of, mart, sql_mart

IS_SALE = ~col("is_cancellation")
REVENUE = (col("quantity") * col("unit_price")).sum()
RETURNS = -col("quantity").filter(col("quantity") < 0).cast(pl.Int64).sum()


def locate(lines: LazyFrame, customers: LazyFrame) -> LazyFrame:
    """Invoice lines with the customer's country on the day of the sale; as booked if anonymous."""
    known = join_as_of(
        lines, customers, on="customer_id", at="invoice_date", columns={"country": "known_country"}
    )
    return known.with_columns(country=pl.coalesce("known_country", "country")).drop("known_country")


@mart(
    DailySales,
    partitions=DAILY,
    lookback=6,
    as_of={"fx_rates": "rate_date", "customers": AsOf("valid_from", by="customer_id")},
    owner=OWNER,
)
def daily_sales(invoice_lines: LazyFrame, fx_rates: LazyFrame, customers: LazyFrame) -> LazyFrame:
    """Revenue by day and country in GBP and EUR, with the mean of the last 7 calendar days."""
    days = (
        locate(invoice_lines, customers)
        .group_by(sales_date="invoice_date", country="country")
        .agg(
            revenue_gbp=REVENUE,
            invoices=col("invoice").filter(IS_SALE).n_unique().cast(pl.Int64),
            units=col("quantity").filter(col("quantity") > 0).cast(pl.Int64).sum(),
            returns=RETURNS,
            lines=pl.len().cast(pl.Int64),
        )
    )
    week = (
        days.sort("sales_date")
        .rolling("sales_date", period="7d", group_by="country")
        .agg(revenue_gbp_7d_mean=col("revenue_gbp").sum() / 7)
    )
    pounds = (
        fx_rates.filter(col("currency") == "GBP")
        .sort("rate_date")
        .select("rate_date", gbp_per_eur="rate")
    )
    return (
        days.join(week, on=["sales_date", "country"], how="left")
        .sort("sales_date")
        .join_asof(pounds, left_on="sales_date", right_on="rate_date")
        .with_columns(revenue_eur=col("revenue_gbp") / col("gbp_per_eur"))
        .drop("gbp_per_eur", "rate_date", strict=False)
    )


@mart(
    Sale,
    partitions=DAILY,
    as_of={
        "products": AsOf("valid_from", by="stock_code"),
        "customers": AsOf("valid_from", by="customer_id"),
    },
    owner=OWNER,
)
def sales(invoice_lines: LazyFrame, products: LazyFrame, customers: LazyFrame) -> LazyFrame:
    """Invoice lines with the product's text and the customer's country on the day of the sale."""
    named = join_as_of(
        invoice_lines,
        products,
        on="stock_code",
        at="invoice_date",
        columns={"description": "product"},
    )
    return locate(named, customers).with_columns(
        sales_date="invoice_date", revenue_gbp=col("quantity") * col("unit_price")
    )


@sql_mart(ProductMonth, reads=("invoice_lines",), partitions=MONTHLY, owner=OWNER)
def product_months() -> str:
    """Sales by month and product."""
    return """
        SELECT CAST(date_trunc('month', invoice_date) AS DATE) AS month,
               stock_code,
               sum(quantity) AS units,
               sum(quantity * unit_price) AS revenue_gbp,
               count(DISTINCT invoice) FILTER (WHERE NOT is_cancellation) AS invoices,
               count(DISTINCT customer_id) AS customers,
               count(*) AS lines
        FROM invoice_lines
        GROUP BY ALL
    """


@mart(CustomerFeatures, leave_out={"anonymous": col("customer_id").is_null()}, owner=OWNER)
def customers(invoice_lines: LazyFrame) -> LazyFrame:
    """Recency, frequency and monetary value of each customer; anonymous lines are left out."""
    bought = col("invoice_date").filter(IS_SALE & (col("quantity") > 0))
    newest = invoice_lines.select(newest=col("invoice_date").max())
    return (
        invoice_lines.group_by("customer_id")
        .agg(
            first_purchase_date=bought.min(),
            last_purchase_date=bought.max(),
            frequency=col("invoice").filter(IS_SALE).n_unique().cast(pl.Int64),
            monetary_gbp=REVENUE,
            returns=RETURNS,
            lines=pl.len().cast(pl.Int64),
        )
        .join(newest, how="cross")
        .with_columns(recency_days=(col("newest") - col("last_purchase_date")).dt.total_days())
        .drop("newest")
    )
