"""TPC-H line items: the generated file, the contract with nine row rules, the ways to write it."""

from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
from polars._typing import ParquetCompression

from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Partitioning, ReplaceAll
from lakehouse.storage.lake import Lake
from lakehouse.tables.contract import Contract, Field, get_properties
from lakehouse.tables.rules import compile_rules
from lakehouse.tables.table_types import DerivedTable, PeriodicTable
from lakehouse.transform.accounting import CountedPass, account_for_rows
from lakehouse.transform.period_counts import aggregate_by_period, fingerprint_rows
from lakehouse.transform.row_verdicts import judge
from lakehouse.transform.scope import Scope

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


class LineItem(Contract):
    """A line of an order, as TPC-H generates it; about one in ten thousand breaks a rule."""

    l_orderkey: pl.Int64 = Field(gt=0)
    l_partkey: pl.Int64 = Field(gt=0)
    l_suppkey: pl.Int64 = Field()
    l_linenumber: pl.Int32 = Field(in_range={"min_value": 1, "max_value": 7})
    l_quantity: float = Field(in_range={"min_value": 1, "max_value": 50})
    l_extendedprice: float = Field(lt=104_500)
    l_discount: float = Field(in_range={"min_value": 0, "max_value": 0.1})
    l_tax: float = Field(ge=0)
    l_returnflag: str = Field(isin=["A", "N", "R"])
    l_linestatus: str = Field()
    l_shipdate: date = Field()
    l_commitdate: date = Field()
    l_receiptdate: date = Field()
    l_shipinstruct: str = Field()
    l_shipmode: str = Field(isin=["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"])
    l_comment: str = Field()

    class Table:
        date_column = "l_shipdate"


def rows(csv: Path) -> pl.LazyFrame:
    """Scans the generated file."""
    return pl.scan_csv(csv, schema=SCHEMA)


def table() -> DerivedTable:
    """Returns the line items as a staged table; its rows come from a file, not from a raw table."""
    return PeriodicTable(
        name="staged/lineitem", contract=LineItem, transform=rows, parameters=("raw_lineitem",)
    )


def ours(csv: Path, target: Path) -> dict[str, int]:
    """Checks nine rules, quarantines, partitions by month, accounts for each row and publishes."""
    item = table()
    implied = ("is present", "is finite", "lies in the years 1 to 9999")
    rules = [rule for rule in compile_rules(LineItem) if not rule.name.endswith(implied)]
    assert len(rules) == 9, rules  # beside those that every contract implies
    source = rows(csv)
    received = source.with_row_index("_offset", 1).with_columns(
        pl.lit(csv.name).alias("_source"),
        pl.col("_offset").cast(pl.Int64),
        pl.struct(list(SCHEMA)).alias("_received"),
    )
    provenance = Provenance("bench", item.code_version, "bench", {})
    judged = judge(item, compile_rules(LineItem), received, provenance)
    questions = {
        "distinct": aggregate_by_period(
            item,
            received,
            {"rows": pl.len(), **fingerprint_rows(item, is_input=True)},
            is_input=True,
        ),
        **judged.questions,
    }
    months = Partitioning("l_shipdate", get_properties(LineItem).physical)
    request = ReplaceAll(item.name, judged.valid, partitioning=months)
    rejects = ReplaceAll(item.quarantine, judged.rejected)

    def account(findings: PassResult) -> Audit:
        return account_for_rows(judged, Scope(item), provenance, CountedPass.of(judged, findings))

    audit = publish(Lake(str(target)), request, account, rejects=rejects, questions=questions)
    return {
        "read": audit.read,
        "written": audit.written,
        "quarantined": audit.quarantined,
        "files": audit.files,
    }


def sink_delta(csv: Path, target: Path) -> dict[str, int]:
    """Writes by Polars' own partitioned Delta write; checks no rule."""
    month = rows(csv).with_columns(_month=pl.col("l_shipdate").dt.truncate("1mo"))
    month.sink_delta(
        str(target / "delta"), mode="overwrite", delta_write_options={"partition_by": ["_month"]}
    )
    return {}


def sink_parquet(
    csv: Path, target: Path, compression: ParquetCompression = "zstd"
) -> dict[str, int]:
    """Writes one Parquet file by Polars, with its default compression: the limit."""
    target.mkdir(parents=True, exist_ok=True)
    rows(csv).sink_parquet(target / "lineitem.parquet", compression=compression)
    return {}


WAYS = {
    "ours": ours,
    "sink_delta": sink_delta,
    "sink_parquet": sink_parquet,
    "sink_parquet, snappy": partial(sink_parquet, compression="snappy"),
}
