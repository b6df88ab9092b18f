"""What the retail tables promise: the rules of their rows, and what is true of each table."""

from datetime import date, timedelta

import polars as pl

from lakehouse.tables import Contract, Field, Instant


class InvoiceLine(Contract):
    """One line of an invoice, as booked by the till."""

    invoice: str = Field(
        str_matches=r"^[AC]?\d{6}$",
        description="Invoice number; C marks a cancellation, A an adjustment",
    )
    stock_code: str = Field(
        str_length={"min_value": 1}, description="Product or service code, upper case"
    )
    description: str = Field(
        nullable=True, description="Product description, runs of spaces collapsed"
    )
    quantity: pl.Int32 = Field(
        ne=0, unit="pieces", description="Pieces sold; negative when returned or written off"
    )
    unit_price: float = Field(ge=0, unit="GBP", description="Price of a piece")
    customer_id: pl.Int64 = Field(
        nullable=True, pii=True, description="Customer number; null for anonymous sales"
    )
    country: str = Field(
        str_length={"min_value": 1}, description="Country of the customer, as booked"
    )
    invoiced_at: Instant = Field(description="When the invoice was written")
    invoice_date: date = Field(description="Day of the invoice in London")
    is_cancellation: bool = Field(description="The line reverses an earlier sale")
    is_service: bool = Field(
        description="Postage, fees, discounts and samples rather than a product"
    )

    class Table:
        event_time = "invoiced_at"
        date_column = "invoice_date"
        max_quarantined = 0.05
        fresh_within = timedelta(days=4)


class Product(Contract):
    """What a product was called from a day on."""

    stock_code: str = Field(
        str_length={"min_value": 1}, description="Product or service code, upper case"
    )
    described_on: date = Field(
        description="Day in London on which it was sold under this description"
    )
    description: str = Field(
        str_length={"min_value": 1}, description="Product description, runs of spaces collapsed"
    )

    class Table:
        key = ("stock_code",)
        sequence = ("described_on",)
        event_time = "described_on"


class Customer(Contract):
    """The country of a customer from a day on."""

    customer_id: pl.Int64 = Field(pii=True, description="Customer number")
    seen_on: date = Field(description="Day in London of a sale")
    country: str = Field(
        str_length={"min_value": 1}, description="Country of the customer, as booked"
    )

    class Table:
        key = ("customer_id",)
        sequence = ("seen_on",)
        event_time = "seen_on"


class Sale(Contract):
    """One invoice line, with what was known of its product and its customer on that day."""

    invoice: str = Field(description="Invoice number; C marks a cancellation, A an adjustment")
    stock_code: str = Field(description="Product or service code")
    customer_id: pl.Int64 = Field(
        nullable=True, pii=True, description="Customer number; null for anonymous sales"
    )
    sales_date: date = Field(description="Day of the invoice in London")
    quantity: pl.Int32 = Field(
        unit="pieces", description="Pieces sold; negative when returned or written off"
    )
    unit_price: float = Field(ge=0, unit="GBP", description="Price of a piece")
    revenue_gbp: float = Field(unit="GBP", description="Quantity times price")
    product: str = Field(nullable=True, description="Description of the product as of that day")
    country: str = Field(
        description="Country of the customer as of that day; as booked for anonymous sales"
    )

    class Table:
        event_time = "sales_date"
        date_column = "sales_date"
        max_quarantined = 0.0


class FxRate(Contract):
    """The reference rate of one currency on one day."""

    rate_date: date = Field(description="Day of the rate")
    currency: str = Field(str_matches=r"^[A-Z]{3}$", description="ISO 4217 code")
    rate: float = Field(gt=0, unit="per EUR", description="Units of the currency per euro")

    class Table:
        key = ("rate_date", "currency")
        event_time = "rate_date"
        fresh_within = timedelta(days=7)  # over Easter there are no rates for five days


class DailySales(Contract):
    """Sales of one day in one country."""

    sales_date: date = Field(description="Day of the invoices in London")
    country: str = Field(
        description="Country of the customer on that day; as booked for anonymous sales"
    )
    revenue_gbp: float = Field(
        unit="GBP", description="Quantity times price over all lines, less returns"
    )
    revenue_eur: float = Field(
        unit="EUR",
        nullable=True,
        description="The same in euros, at the last rate known on that day",
    )
    revenue_gbp_7d_mean: float = Field(
        unit="GBP", description="Mean of the 7 days up to this one; days without sales count as 0"
    )
    invoices: pl.Int64 = Field(ge=0, description="Invoices that are not cancellations")
    units: pl.Int64 = Field(ge=0, unit="pieces", description="Pieces sold")
    returns: pl.Int64 = Field(ge=0, unit="pieces", description="Pieces returned or written off")
    lines: pl.Int64 = Field(ge=1, description="Invoice lines behind the row")

    class Table:
        key = ("sales_date", "country")
        event_time = "sales_date"
        date_column = "sales_date"
        counts = "lines"
        max_quarantined = 0.0
        rules = {"revenue is finite": pl.col("revenue_gbp").is_finite().all()}


class ProductMonth(Contract):
    """Sales of one product in one month."""

    month: date = Field(description="First day of the month")
    stock_code: str = Field(description="Product or service code")
    units: pl.Int64 = Field(unit="pieces", description="Pieces sold, less returns")
    revenue_gbp: float = Field(unit="GBP", description="Quantity times price, less returns")
    invoices: pl.Int64 = Field(ge=0, description="Invoices that are not cancellations")
    customers: pl.Int64 = Field(ge=0, description="Known customers")
    lines: pl.Int64 = Field(ge=1, description="Invoice lines behind the row")

    class Table:
        key = ("month", "stock_code")
        event_time = "month"
        date_column = "month"
        counts = "lines"
        max_quarantined = 0.0


class CustomerFeatures(Contract):
    """What one customer has done so far: features for a model."""

    customer_id: pl.Int64 = Field(pii=True, description="Customer number")
    first_purchase_date: date = Field(nullable=True, description="Day of the first purchase")
    last_purchase_date: date = Field(nullable=True, description="Day of the latest purchase")
    recency_days: pl.Int64 = Field(
        ge=0,
        nullable=True,
        unit="days",
        description="From the latest purchase to the newest line of any known customer",
    )
    frequency: pl.Int64 = Field(ge=0, description="Invoices that are not cancellations")
    monetary_gbp: float = Field(unit="GBP", description="Quantity times price, less returns")
    returns: pl.Int64 = Field(ge=0, unit="pieces", description="Pieces returned")
    lines: pl.Int64 = Field(ge=1, description="Invoice lines behind the row")

    class Table:
        key = ("customer_id",)
        event_time = "last_purchase_date"
        counts = "lines"
        max_quarantined = 0.0
