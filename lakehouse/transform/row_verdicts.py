"""Judge a transform's rows: split them by the contract, and ask what their account needs to know.

Belongs here: the lazy split into rows to write and rows to reject, and the questions that the same pass answers.
Does not belong here: the account made of the answers (`account.py`), reading (`make.py`) and writing (`publish.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.errors import SetupError, list_problems
from lakehouse.publish.audit import Provenance
from lakehouse.quarantine.states import Attempt
from lakehouse.system_columns import LINEAGE, RECEIVED, WINDOW
from lakehouse.tables.rules import Rule, keeps_all_rules, list_broken_rules, precompute_interpreted
from lakehouse.tables.table_types import DerivedTable

PERIOD = "period"
"""Column of an answer: the period that it is about; null for a table without periods."""

_OK = "_ok"


@dataclass(frozen=True)
class JudgedRows:
    """A transform's rows under their contract, lazily.

    Attributes:
        table: the table that they are for.
        rules: the rules that they are held to.
        valid: the rows to write; exactly the table's columns.
        rejected: the rows to quarantine: as received, with the rules that they broke and their origin.
        broke: the same rows as the transform gave them.
        questions: aggregates to be answered in the same pass as the writes.
    """

    table: DerivedTable
    rules: tuple[Rule, ...]
    valid: pl.LazyFrame
    rejected: pl.LazyFrame
    broke: pl.LazyFrame
    questions: Mapping[str, pl.LazyFrame]


def judge(
    table: DerivedTable,
    rules: tuple[Rule, ...],
    rows: pl.LazyFrame,
    provenance: Provenance,
) -> JudgedRows:
    """Split a transform's rows, and ask what the account needs to know, period by period.

    Args:
        table: the table that they are for.
        rules: the rules that they are held to.
        rows: the transform's rows, inside the days that are made.
        provenance: run and contract, noted beside each rejected row.

    Raises:
        SetupError: the rows are not of the contract's types.
    """
    _prove_types(table, rows.collect_schema())
    rules, verdicts = precompute_interpreted(rules)
    judged = rows.with_columns(verdicts).with_columns(keeps_all_rules(rules).alias(_OK))
    kept, broke = judged.filter(pl.col(_OK)), judged.filter(~pl.col(_OK))
    latest = _latest(table, kept)
    rejected = broke.select(_rejected_columns(table, rules, rows.collect_schema(), provenance))
    # One question for all that is asked of these rows: each further reader of a stream holds more of it in memory.
    asked = {
        "rows": _stand_for(table, pl.lit(True)),
        "broke": _stand_for(table, ~pl.col(_OK)),
        "outside": (pl.col(_OK) & _is_moved(table)).sum(),
    }
    if (
        table.is_aggregate
    ):  # a row stands for several there, so those to be written are counted apart
        asked |= {"kept": pl.col(_OK).sum(), "shut": (~pl.col(_OK)).sum()}
    questions = {"judged": aggregate_by_period(table, judged, {**asked, **fingerprint_rows(table)})}
    if keeps_latest_version(table):
        questions["latest"] = aggregate_by_period(table, latest, {"rows": pl.len()})
    if compile_table_rules(table) and table.mode == "replace":
        questions["table"] = aggregate_by_period(table, latest, compile_table_rules(table))
    return JudgedRows(
        table, rules, latest.select(table.event_schema.names()), rejected, broke, questions
    )


def _prove_types(table: DerivedTable, schema: pl.Schema) -> None:
    """Refuse rows of other types than the table's: an input may have grown wider since the declaration was proved."""
    wrong = [
        f"{n} is {schema[n]}, its contract says {t}"
        for n, t in table.event_schema.items()
        if n in schema and schema[n] != t
    ]
    if wrong:
        raise SetupError(
            list_problems(
                f"{table.name}: the transform returns other types than its contract. Nothing was published.",
                wrong,
                "a column of an input grew wider: cast it in the transform, or change the contract.",
            )
        )


def aggregate_by_period(
    table: DerivedTable, rows: pl.LazyFrame, asked: Mapping[str, pl.Expr], *, is_input: bool = False
) -> pl.LazyFrame:
    """Aggregates for each period of a table, under `PERIOD`; of all rows where it has none.

    Args:
        table: whose periods.
        rows: rows of the first input, or of the transform.
        asked: the aggregates, by name.
        is_input: whether they are rows of the input; of the transform by default.
    """
    if table.partitions is None:
        return rows.select(pl.lit(None, dtype=pl.Date).alias(PERIOD), **asked)
    day = WINDOW if is_input else _day_column(table)
    return rows.group_by(table.partitions.period_start_expr(pl.col(day)).alias(PERIOD)).agg(**asked)


def fingerprint_rows(
    table: DerivedTable, which: pl.Expr | None = None, *, is_input: bool = False
) -> dict[str, pl.Expr]:
    """Which rows of the first input stand in a frame, as an aggregate without order: a transform leaves it as it is.

    Rows that keep their origin are told by it. Of aggregates it is told how many rows stand behind each period.

    Args:
        table: the table that is made.
        which: only some of the rows.
        is_input: whether the frame holds rows of the input; of the transform by default.
    """
    if table.is_aggregate:
        return {"arrived": pl.len().cast(pl.Int64) if is_input else _stand_for(table, pl.lit(True))}
    identity = (
        pl.col("_source").hash() * pl.col("_offset").hash()
    )  # half the cost of the hash of a struct
    return {"arrived": (identity if which is None else identity.filter(which)).sum()}


def compile_table_rules(table: DerivedTable) -> dict[str, pl.Expr]:
    """The aggregates that must be true of the rows to be published."""
    known = table.properties
    rules = dict(known.rules)
    if known.key and table.mode == "replace" and not keeps_latest_version(table):
        rules[f"{', '.join(known.key)} is a key"] = pl.struct(known.key).n_unique() == pl.len()
    return rules


def _stand_for(table: DerivedTable, which: pl.Expr) -> pl.Expr:
    """How many rows of the first input some rows stand for."""
    counts = table.properties.counts
    if counts:
        return pl.col(counts).cast(pl.Int64).filter(which).sum()
    return pl.len().cast(pl.Int64) if which.meta.is_literal() else which.sum().cast(pl.Int64)


def keeps_latest_version(table: DerivedTable) -> bool:
    """Whether older versions of a key are superseded in the pass, as in every staged table that is made again."""
    return (
        bool(table.properties.key) and table.name.startswith("staged/") and table.mode == "replace"
    )


def _latest(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The latest version of each key in a period: by declared sequence, then the delivery's time, then its origin."""
    if not keeps_latest_version(table):
        return rows
    order = [*table.properties.sequence, "_modified_at", *LINEAGE]
    return rows.sort(order).unique([*table.properties.key, *period_of_row(table)], keep="last")


def period_of_row(table: DerivedTable) -> list[pl.Expr]:
    """The period of a row on its way: rows of two periods never meet, however many are made at once."""
    return [table.partitions.period_start_expr(pl.col(WINDOW))] if table.partitions else []


def _day_column(table: DerivedTable) -> str:
    return str(table.properties.date_column) if table.is_aggregate else WINDOW


def _is_moved(table: DerivedTable) -> pl.Expr:
    """Whether a row carries another day than the one that the first input gave it."""
    window = table.properties.date_column
    if table.is_aggregate or table.partitions is None or window is None:
        return pl.lit(False)
    return (pl.col(window) != pl.col(WINDOW)).fill_null(True)


def _rejected_columns(
    table: DerivedTable, rules: tuple[Rule, ...], schema: pl.Schema, provenance: Provenance
) -> list[pl.Expr]:
    if table.is_aggregate:
        window = table.properties.date_column
        row = [pl.col(name) for name in table.schema if name in schema]
        place = [pl.col(window).alias(WINDOW)] if window else []
    else:
        received = schema[RECEIVED]
        fields = [f.name for f in received.fields] if isinstance(received, pl.Struct) else []
        row = [pl.col(RECEIVED).struct.field(name) for name in fields]
        row += [pl.col(name) for name in LINEAGE]
        place = [pl.col(WINDOW)] if WINDOW in schema else []
    return [
        *row,
        *place,
        list_broken_rules(rules),
        *Attempt(provenance.run_id, provenance.code_version, provenance.contract_version).seen(),
    ]
