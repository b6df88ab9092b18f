"""The TPC-H line items and their nine rules in plain Polars, for the peers that take frames."""

from pathlib import Path

import polars as pl

SCHEMA = {
    "l_orderkey": pl.Int64,
    "l_partkey": pl.Int64,
    "l_suppkey": pl.Int64,
    "l_linenumber": pl.Int32,
    "l_quantity": pl.Float64,
    "l_extendedprice": pl.Float64,
    "l_discount": pl.Float64,
    "l_tax": pl.Float64,
    "l_returnflag": pl.String,
    "l_linestatus": pl.String,
    "l_shipdate": pl.Date,
    "l_commitdate": pl.Date,
    "l_receiptdate": pl.Date,
    "l_shipinstruct": pl.String,
    "l_shipmode": pl.String,
    "l_comment": pl.String,
}
RULES = (
    pl.col("l_orderkey") > 0,
    pl.col("l_partkey") > 0,
    pl.col("l_linenumber").is_between(1, 7),
    pl.col("l_quantity").is_between(1, 50),
    pl.col("l_extendedprice") < 104_500,
    pl.col("l_discount").is_between(0, 0.1),
    pl.col("l_tax") >= 0,
    pl.col("l_returnflag").is_in(["A", "N", "R"]),
    pl.col("l_shipmode").is_in(["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]),
)


def items(csv: Path) -> pl.LazyFrame:
    """Returns the rows of the file with the month of `l_shipdate`, their partition."""
    return pl.scan_csv(csv, schema=SCHEMA).with_columns(
        _month=pl.col("l_shipdate").dt.truncate("1mo")
    )


def holds() -> pl.Expr:
    """Returns whether a row is complete and meets all rules."""
    present = pl.all_horizontal(pl.col(list(SCHEMA)).is_not_null())
    return present & pl.all_horizontal(RULES).fill_null(False)
