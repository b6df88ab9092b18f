"""What the shop and the ECB deliver, as received."""

import polars as pl

from assets.retail import OWNER
from lakehouse.tables import raw

invoice_lines = raw(
    "invoice_lines",
    "Invoice lines as the till exports them: a CSV file a day, times in London.",
    columns=(
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
        "Country",
    ),
    optional=("Description", "CustomerID"),
    day=pl.col("InvoiceDate").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False),
    owner=OWNER,
)

fx_rates = raw(
    "fx_rates",
    "Euro reference rates as the ECB publishes them: all days since 1999, a column a currency.",
    columns=("Date",),
    owner=OWNER,
)
