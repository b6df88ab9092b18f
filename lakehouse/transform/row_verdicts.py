"""Judges a transform's rows: splits them by the contract, and defines what counts them.

Belongs here: the lazy split into rows to write and rows to reject, and the aggregates over both.
Does not belong here: typed counts (`period_counts.py`), what they decide (`accounting.py`), reading
and writing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.errors import SetupError, list_problems
from lakehouse.expressions import has_key
from lakehouse.lineage.content_hash import HASH_SUMS, hash_rows
from lakehouse.publish.audit import Provenance
from lakehouse.quarantine.states import Attempt
from lakehouse.system_columns import EVENT, LINEAGE, RECEIVED, TOO_LARGE, WINDOW
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.rules import Rule, keeps_all_rules, list_broken_rules, precompute_interpreted
from lakehouse.tables.table_types import DerivedTable, PeriodicTable
from lakehouse.transform.period_counts import (
    JUDGED,
    LATEST,
    TABLE_RULES,
    aggregate_by_period,
    count_represented,
    fingerprint_rows,
)
from lakehouse.transform.superseded_rejects import VersionOrder

_OK = "_ok"
_PERIOD = "_period"
REJECTED_VERSIONS = "rejected versions"
"""The name of the question that answers what is needed to find rejected rows that are superseded.

Its answer is no aggregate: it has a row for each rejected row."""


@dataclass(frozen=True)
class JudgedRows:
    """A transform's rows, split by their contract, lazily.

    Attributes:
        table: the table that they are for.
        rules: the rules that they were judged by.
        valid: the rows to write; exactly the table's columns.
        rejected: the rows to quarantine: as received, with the rules that they broke and their
            origin.
        broke: the same rows as the transform returned them.
        kept: the rows that keep the contract, older versions of a key among them.
        questions: aggregates to compute in the pass that writes, by name; see `period_counts.py`.
    """

    table: DerivedTable
    rules: tuple[Rule, ...]
    valid: pl.LazyFrame
    rejected: pl.LazyFrame
    broke: pl.LazyFrame
    kept: pl.LazyFrame
    questions: Mapping[str, pl.LazyFrame]


def judge(
    table: DerivedTable,
    rules: tuple[Rule, ...],
    rows: pl.LazyFrame,
    provenance: Provenance,
    superseded: pl.DataFrame | None = None,
) -> JudgedRows:
    """Splits a transform's rows by the contract, and defines what counts them by period.

    Args:
        table: the table that they are for.
        rules: the rules that they are judged by.
        rows: the transform's rows of the days that are made.
        provenance: run and contract, stored beside each rejected row.
        superseded: rows that break the contract and are not rejected; see `MakePlan`.

    Raises:
        SetupError: the rows are not of the contract's types.
    """
    schema = rows.collect_schema()
    _check_types(table, schema)
    # Checks that see the whole table run before the rows are split, and once.
    rules, verdicts = precompute_interpreted(rules)
    judged = rows.with_columns(verdicts).with_columns(keeps_all_rules(rules).alias(_OK))
    is_rejected = _is_rejected(superseded)
    kept, broke = judged.filter(pl.col(_OK)), judged.filter(is_rejected)
    # Of the rows that keep the contract: a newer version that breaks it hides no older one.
    latest = _latest_versions(table, kept)
    counts, hashed = _verdict_counts(table, rules, is_rejected), judged
    # The content hash is of the rows to write. Where older versions of a key fall away, these are
    # known only after this question, so they have one of their own.
    if isinstance(table, PeriodicTable) and not table.keeps_latest_version:
        counts, hashed = {**counts, **HASH_SUMS}, hash_rows(table, judged, pl.col(_OK))
    questions = {JUDGED: aggregate_by_period(table, hashed, counts)}
    if table.keeps_latest_version:
        written = {"rows": pl.len(), **HASH_SUMS}
        questions[LATEST] = aggregate_by_period(table, hash_rows(table, latest), written)
    questions |= _ask_for_rules(table, latest)
    # A table that is judged again has found them before.
    if superseded is None:
        questions |= _ask_for_versions(table, broke)
    return JudgedRows(
        table=table,
        rules=rules,
        valid=latest.select(table.event_schema.names()),
        rejected=broke.select(_rejected_columns(table, rules, schema, provenance)),
        broke=broke,
        kept=kept,
        questions=questions,
    )


def _is_rejected(superseded: pl.DataFrame | None) -> pl.Expr:
    is_broken = ~pl.col(_OK)
    if superseded is None or superseded.is_empty():
        return is_broken
    return is_broken & ~has_key(superseded)


def _ask_for_rules(table: DerivedTable, latest: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """Returns whether the table rules hold for the rows to write."""
    # The rules of a table with keys are about all of its rows, which this pass does not see.
    rules = compile_table_rules(table) if isinstance(table, PeriodicTable) else {}
    return {TABLE_RULES: aggregate_by_period(table, latest, rules)} if rules else {}


def _ask_for_versions(table: DerivedTable, broke: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """Returns what is needed of rejected rows to find those that a newer row supersedes."""
    if not table.keeps_latest_version:
        return {}
    return {REJECTED_VERSIONS: add_period(table, broke).select(order_versions(table).columns)}


def _check_types(table: DerivedTable, schema: pl.Schema) -> None:
    """Refuses rows of other types than the table's: a column of an input may have grown wider."""
    wrong = [
        f"{name} is {schema[name]}, its contract says {dtype}"
        for name, dtype in table.event_schema.items()
        if name in schema and schema[name] != dtype
    ]
    if wrong:
        raise SetupError(
            list_problems(
                f"{table.name}: the transform returns types that differ from the contract. "
                "Nothing was published.",
                wrong,
                "cast the columns in the transform, or change the contract. "
                "The type of an input column was widened.",
            )
        )


def _verdict_counts(
    table: DerivedTable, rules: tuple[Rule, ...], is_rejected: pl.Expr
) -> dict[str, pl.Expr]:
    """Returns all aggregates over the judged rows.

    They are one question, because each further reader of a stream makes it hold more of its rows in
    memory.
    """
    # One question less saved a tenth of the peak of a pass.
    counts = {
        "rows": count_represented(table),
        "broke": count_represented(table, is_rejected),
        "outside": sum(((~rule.holds).sum() for rule in rules if rule.is_about_day), pl.lit(0)),
        **fingerprint_rows(table),
    }
    if not table.is_aggregate:
        return counts
    # A row represents several rows of the input there, so the rows to be written are counted apart.
    return {**counts, "table_rows": pl.col(_OK).sum(), "rejected_rows": (~pl.col(_OK)).sum()}


def compile_table_rules(table: DerivedTable) -> dict[str, pl.Expr]:
    """Returns the aggregates that must be true of the rows to publish, by the rule's name."""
    known = table.properties
    rules = dict(known.rules)
    # Elsewhere a key is unique by construction: its latest version is kept, or its events are
    # merged.
    if known.key and isinstance(table, PeriodicTable) and not table.keeps_latest_version:
        rules[f"{', '.join(known.key)} is a key"] = pl.struct(known.key).n_unique() == pl.len()
    return rules


def _latest_versions(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the latest version of each key in a period.

    Versions are ordered by sequence, then by the delivery's time, then by origin.
    """
    if not table.keeps_latest_version:
        return rows
    # A total order: the same version wins whatever the order of deliveries was.
    order = [*table.properties.sequence, "_modified_at", *LINEAGE]
    key = [*table.properties.key, *period_of_row(table)]
    return rows.sort(order).unique(key, keep="last")


def period_of_row(table: DerivedTable) -> list[pl.Expr]:
    """Returns the period as part of a key, so that rows of two periods never meet."""
    return [table.partitions.period_start_expr(pl.col(WINDOW))] if table.partitions else []


def order_versions(table: DerivedTable) -> VersionOrder:
    """Returns how the rows of a table that keeps the latest version of a key are compared."""
    known = table.properties
    period = (_PERIOD,) if table.partitions else ()
    return VersionOrder((*known.key, *period), known.sequence)


def add_period(table: DerivedTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns rows with the period that `order_versions` compares: versions of two never meet."""
    if table.partitions is None:
        return rows
    names = rows.collect_schema().names()
    day = pl.col(WINDOW if WINDOW in names else str(table.properties.date_column))
    return rows.with_columns(table.partitions.period_start_expr(day).alias(_PERIOD))


def _rejected_columns(
    table: DerivedTable, rules: tuple[Rule, ...], schema: pl.Schema, provenance: Provenance
) -> list[pl.Expr]:
    if table.is_aggregate:
        window = table.properties.date_column
        row = [pl.col(name) for name in (*table.schema, TOO_LARGE) if name in schema]
        place = [pl.col(window).alias(WINDOW)] if window else []
    else:
        received = schema[RECEIVED]
        fields = [f.name for f in received.fields] if isinstance(received, pl.Struct) else []
        row = [pl.col(RECEIVED).struct.field(name) for name in fields]
        row += [pl.col(name) for name in LINEAGE]
        place = [pl.col(WINDOW)] if WINDOW in schema else []
    if isinstance(table, KeyedTable):
        # New rows alone show no more of the rows that were rejected before.
        known = table.properties
        place.append(pl.struct(*known.key, *known.sequence, "_modified_at").alias(EVENT))
    attempt = Attempt(provenance.run_id, provenance.code_version, provenance.contract_version)
    return [*row, *place, list_broken_rules(rules), *attempt.build_first_columns()]
