"""The lazy pass from pinned inputs to judged rows: what is read, left out, transformed, and asked on the way.

Belongs here: calling a transform, and the questions about the rows before and after it.
Does not belong here: which inputs there are (`inputs.py`), what is done with the rows (`make.py`, `keyed.py`).
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from lakehouse.calendar import Days
from lakehouse.errors import DataError
from lakehouse.publish.audit import Provenance
from lakehouse.quarantine.states import Attempt
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import DELETED, LINEAGE
from lakehouse.tables.catalog import Catalog, explode_rows, prepare_first_input
from lakehouse.tables.rules import UNREAD, Rule, compile_rules, list_unread_rules
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform import sql_transform
from lakehouse.transform.inputs import Inputs
from lakehouse.transform.row_verdicts import (
    JudgedRows,
    aggregate_by_period,
    fingerprint_rows,
    judge,
    period_of_row,
)
from lakehouse.transform.spill import split_by_key

_ROWS_AT_ONCE = 131_072
_ROWS_PER_GROUP = 8_192
_FLAG = "_left_out_"


@dataclass(frozen=True)
class MakeContext:
    """One attempt: what to make, with whom and when."""

    lake: Lake
    catalog: Catalog
    table: DerivedTable
    days: Days | None
    run_id: str
    now: datetime
    is_replay: bool = False

    @property
    def attempt(self) -> Attempt:
        """What quarantine notes of it."""
        return Attempt(
            self.run_id,
            self.table.code_version,
            self.table.contract_version,
            self.is_replay,
        )


@contextmanager
def explain_transform_errors(table: DerivedTable, inputs: Inputs) -> Iterator[None]:
    """What the transform cannot do with the rows, as an error that names the place and quotes no value."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        where = f" [{inputs.days}]" if inputs.days else ""
        raise DataError(
            f"{table.name}{where}: the transform fails on the data: {redact(error)}\n"
            "Next: mend the transform, or cast with strict=False so that the row is quarantined. Nothing was published."
        ) from None  # the error itself quotes values


def judge_rows(
    making: MakeContext, inputs: Inputs, provenance: Provenance, spool: Path
) -> JudgedRows:
    """The lazy pass from the inputs to judged rows, with the questions about the way there."""
    table = making.table
    first = inputs.frames[table.parameters[0]]
    read = explode_rows(table, first)
    distinct, left_out = _flagged(table, _distinct(table, read, spool) if table.distinct else read)
    stays = ~pl.any_horizontal(left_out.values()) if left_out else None
    kept = distinct if stays is None else distinct.filter(stays).drop(left_out.values())
    if table.is_sql:
        rows = sql_transform.run_query(
            making.lake, table.transform(), inputs.views(making.lake), spool
        )
    else:
        rows = table.transform(prepare_first_input(table, kept), *inputs.others)
        # Polars does not see that what is asked of a window or a join in time is the same each time.
        rows = rows.cache() if table.is_aggregate else rows
    rules = (
        *list_unread_rules(rows.collect_schema()),
        *_day_rules(table, inputs),
        *compile_rules(table.contract),
    )
    if table.mode != "replace":
        rows, rules = _with_deletes(table, rows, rules)
    judged = judge(table, rules, inputs.own(rows), provenance)
    # One question for all that is asked of the same rows: each further reader of a stream holds more of it in memory.
    of_distinct = {
        "rows": pl.len(),
        **{f"filtered: {name}": pl.col(flag).sum() for name, flag in left_out.items()},
    }
    asked: dict[str, pl.LazyFrame] = {}
    if inputs.whole is not None:
        stray = inputs.is_stray if stays is None else inputs.is_stray & stays
        of_distinct["strays"] = stray.sum()
    if table.is_aggregate:
        asked["passed"] = aggregate_by_period(
            table, kept, fingerprint_rows(table, is_input=True), is_input=True
        )
        asked["returned"] = aggregate_by_period(table, inputs.given(rows), fingerprint_rows(table))
    else:
        of_distinct |= fingerprint_rows(table, stays, is_input=True)
    asked["distinct"] = aggregate_by_period(
        table, inputs.own(distinct, is_input=True), of_distinct, is_input=True
    )
    if table.distinct:
        asked["read"] = aggregate_by_period(
            table, inputs.own(read, is_input=True), {"rows": pl.len()}, is_input=True
        )
    return replace(judged, questions={**asked, **judged.questions})


def _with_deletes(
    table: DerivedTable, rows: pl.LazyFrame, rules: tuple[Rule, ...]
) -> tuple[pl.LazyFrame, tuple[Rule, ...]]:
    """Rows that tell whether they delete their key, and rules that ask nothing but key and sequence of those."""
    if table.deletes is None:
        return rows.with_columns(pl.lit(False).alias(DELETED)), rules
    known = table.properties
    asked = {*known.key, *known.sequence}
    spared = tuple(
        rule
        if asked.issuperset(_columns_of(rule))
        else replace(rule, holds=rule.holds | pl.col(DELETED))
        for rule in rules
    )
    return rows.with_columns(table.deletes.fill_null(False).alias(DELETED)), spared


def _columns_of(rule: Rule) -> set[str]:
    return {name.removeprefix(UNREAD) for name in rule.holds.meta.root_names()}


def _distinct(table: DerivedTable, rows: pl.LazyFrame, spool: Path) -> pl.LazyFrame:
    """The first of the rows that repeat each other, by origin; spooled, because the pass looks at it several times."""
    group = next(iter(period_of_row(table)), None)
    columns: list[str | pl.Expr] = [*table.distinct, *period_of_row(table)]
    folder = Path(tempfile.mkdtemp(dir=spool))
    for number, part in enumerate(
        split_by_key(folder / "parts", columns, {"rows": rows}, _ROWS_AT_ONCE, group=group)
    ):
        first = _firsts(part["rows"], columns)
        first.write_parquet(
            folder / f"distinct-{number:06}.parquet",
            compression="lz4",
            row_group_size=_ROWS_PER_GROUP,
        )
    return pl.scan_parquet(folder / "distinct-*.parquet", hive_partitioning=False)


def _firsts(rows: pl.DataFrame, columns: list[str | pl.Expr]) -> pl.DataFrame:
    """The first by origin of the rows that are equal in some columns; most have a hash of their own, and no equal."""
    is_alone = rows.select(~pl.struct(columns).hash().is_duplicated()).to_series()
    others = rows.filter(~is_alone).sort(LINEAGE).unique(columns, keep="first")
    return pl.concat([rows.filter(is_alone), others], rechunk=False)


def _flagged(table: DerivedTable, rows: pl.LazyFrame) -> tuple[pl.LazyFrame, Mapping[str, str]]:
    """Rows with a flag for each rule that leaves rows out, and its name: what is dear in a rule is done once."""
    matches = _first_matches(table)
    flags = {name: f"{_FLAG}{number}" for number, name in enumerate(matches)}
    return rows.with_columns(matched.alias(flags[name]) for name, matched in matches.items()), flags


def _first_matches(table: DerivedTable) -> dict[str, pl.Expr]:
    """For each rule that leaves rows out, the rows that it is the first to match, so that none counts twice."""
    matched: dict[str, pl.Expr] = {}
    before = pl.lit(False)
    for name, rule in table.leave_out.items():
        matched[name] = rule.fill_null(False) & ~before
        before = before | rule.fill_null(False)
    return matched


def _day_rules(table: DerivedTable, inputs: Inputs) -> tuple[Rule, ...]:
    """A row whose day is none of the table's is rejected, not dropped."""
    window = table.properties.date_column
    if inputs.known is None or window is None or table.is_aggregate:
        return ()
    holds = pl.col(window).is_between(inputs.known.first, inputs.known.last).fill_null(True)
    return (Rule(f"{window} is a day of this table", holds),)
