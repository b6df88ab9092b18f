"""The lazy pass from inputs to judged rows: explode, deduplicate, filter, transform, judge.

Belongs here: calling a transform, and the aggregates over the rows before and after it.
Does not belong here: which inputs there are (`plan.py`), what is done with the rows (`make.py`,
`keyed/`). It reads no log: everything that it needs to know is in the plan.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from lakehouse.errors import DataError
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake
from lakehouse.system_columns import DELETED, WINDOW
from lakehouse.tables.casting import UNREAD
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.rules import Rule, compile_rules, list_unread_rules
from lakehouse.tables.table_types import DerivedTable
from lakehouse.tables.whole_numbers import FITS, narrow_rows
from lakehouse.transform import sql_transform
from lakehouse.transform.inputs import InputFrames, define_views
from lakehouse.transform.period_counts import (
    DISTINCT,
    FILTERED,
    PASSED,
    READ,
    RETURNED,
    aggregate_by_period,
    fingerprint_rows,
)
from lakehouse.transform.plan import MakePlan
from lakehouse.transform.referenced_keys import add_references
from lakehouse.transform.repeats import remove_repeats
from lakehouse.transform.row_verdicts import JudgedRows, judge
from lakehouse.transform.scope import Scope
from lakehouse.transform.wide_inputs import REMEDY_OF_WIDE, call_transform

_FLAG = "_left_out_"
_REMEDY = (
    "fix the transform, or cast with strict=False so that the row is quarantined; "
    "for local times name ambiguous= and non_existent=. Nothing was published."
)


@contextmanager
def explain_transform_errors(scope: Scope) -> Iterator[None]:
    """Raises errors of Polars as a `DataError` that names the place and quotes no value."""
    try:
        yield
    # A panic of Polars is no `Exception`: uncaught, one value would end all that runs here.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        is_wide = "i128" in str(error).lower().replace("int128", "i128")
        remedy = REMEDY_OF_WIDE if is_wide else _REMEDY
        raise DataError(
            f"{scope.place}: the transform fails on the data: {redact(error)}\nNext: {remedy}"
        ) from None  # the error itself quotes values


def judge_rows(lake: Lake, plan: MakePlan, opened: InputFrames, spool: Path) -> JudgedRows:
    """Returns the judged rows of some inputs, lazily, with the aggregates that count them.

    Args:
        lake: where the tables are; a query reads them by itself.
        plan: what is made.
        opened: the rows of its inputs.
        spool: a private folder for what is read more than once.
    """
    table, scope = plan.table, plan.scope
    read = table.explode_rows(opened.first)
    distinct = remove_repeats(table, read, spool, plan.limits) if table.distinct else read
    filtered = _Filtered.of(table, distinct)
    returned = _transform(lake, scope, opened, filtered.kept, spool)
    rows, narrowed = narrow_rows(returned, table.event_schema)
    rows, references = add_references(plan, opened, rows)
    rules = (
        *list_unread_rules(rows.collect_schema()),
        *(
            Rule(f"{name} fits {table.event_schema[name]}", pl.col(FITS + name))
            for name in narrowed
        ),
        *_day_rules(scope, plan.inputs[0].source.name),
        *compile_rules(table.contract),
        *references,
    )
    # A delete needs no more than key and sequence, so the other rules let it pass.
    if isinstance(table, KeyedTable):
        rows, rules = _with_deletes(table, rows, rules)
    judged = judge(table, rules, scope.own_rows(rows), plan.provenance, plan.superseded)
    questions = {DISTINCT: _count_input(scope, filtered), **judged.questions}
    # Only a search for repeats makes the rows that are read differ from those counted above.
    if table.distinct:
        own = scope.own_rows(read, is_input=True)
        questions[READ] = aggregate_by_period(table, own, {"rows": pl.len()}, is_input=True)
    # An aggregate has no origins to compare, so rows are counted on both sides of the transform.
    if table.is_aggregate:
        identity = fingerprint_rows(table, is_input=True)
        questions[PASSED] = aggregate_by_period(table, filtered.kept, identity, is_input=True)
        returned = scope.rows_of_given_days(rows)
        questions[RETURNED] = aggregate_by_period(table, returned, fingerprint_rows(table))
    return replace(judged, questions=questions)


def _transform(
    lake: Lake, scope: Scope, opened: InputFrames, kept: pl.LazyFrame, spool: Path
) -> pl.LazyFrame:
    """Returns what the transform makes of the kept rows of the first input and of the others."""
    table = scope.table
    if table.is_sql:
        return sql_transform.run_sql_transform(
            lake, table.transform(), define_views(lake, opened), spool, where=scope.place
        )
    rows: pl.LazyFrame = call_transform(lake, scope, opened, table.attach_received(kept))
    # Polars does not see that what is asked of a window or a join in time is the same each time.
    # It computed marts/daily_sales once for each sink and question: 0.76 s of CPU, now 0.31.
    return rows.cache() if table.is_aggregate else rows


@dataclass(frozen=True)
class _Filtered:
    """Rows of the first input, flagged by the rules that leave rows out.

    Attributes:
        rows: all rows, with a flag column for each rule; an expensive rule is evaluated once.
        flags: the name of the flag column, by the name of the rule.
    """

    rows: pl.LazyFrame
    flags: Mapping[str, str]

    @classmethod
    def of(cls, table: DerivedTable, rows: pl.LazyFrame) -> "_Filtered":
        flags = {name: f"{_FLAG}{number}" for number, name in enumerate(table.leave_out)}
        matches = _first_matches(table)
        # As columns, the rules are evaluated once a row. As filters they were evaluated wherever
        # one was needed: staged/products took 1.9 s of CPU, now 1.0.
        flagged = (matched.alias(flags[name]) for name, matched in matches.items())
        return cls(rows.with_columns(flagged), flags)

    @property
    def stays(self) -> pl.Expr | None:
        """True for a row that no rule leaves out; None where there is no rule."""
        return ~pl.any_horizontal(self.flags.values()) if self.flags else None

    @property
    def kept(self) -> pl.LazyFrame:
        """The rows that the transform gets."""
        if self.stays is None:
            return self.rows
        return self.rows.filter(self.stays).drop(self.flags.values())


def _first_matches(table: DerivedTable) -> dict[str, pl.Expr]:
    """Returns for each rule the rows that it is the first to leave out, so none counts twice."""
    matched: dict[str, pl.Expr] = {}
    before = pl.lit(False)
    for name, rule in table.leave_out.items():
        matched[name] = rule.fill_null(False) & ~before
        before = before | rule.fill_null(False)
    return matched


def _count_input(scope: Scope, filtered: _Filtered) -> pl.LazyFrame:
    """Returns all aggregates over the distinct rows of the first input.

    They are one question, because each further reader of a stream makes it hold more of its rows in
    memory.
    """
    table, stays = scope.table, filtered.stays
    counts = {
        "rows": pl.len(),
        **{f"{FILTERED}{name}": pl.col(flag).sum() for name, flag in filtered.flags.items()},
    }
    if scope.total_rows is not None:
        undated = scope.is_undated if stays is None else scope.is_undated & stays
        counts["undated"] = undated.sum()
    # Of an aggregate the rows that were passed on are counted apart, after the filter.
    if not table.is_aggregate:
        counts |= fingerprint_rows(table, stays, is_input=True)
    rows = scope.own_rows(filtered.rows, is_input=True)
    return aggregate_by_period(table, rows, counts, is_input=True)


def _day_rules(scope: Scope, first: str) -> tuple[Rule, ...]:
    """Returns the rules that reject a row whose day is none of the table's, or not that of the row.

    Args:
        scope: the periods that are made.
        first: the name of the first input.
    """
    window = scope.table.properties.date_column
    if scope.known is None or window is None or scope.table.is_aggregate:
        return ()
    # A row dated ahead waits in quarantine until its day comes. A missing day breaks a rule of the
    # contract already, and is to be named once.
    is_known = pl.col(window).is_between(scope.known.first, scope.known.last)
    # The row belongs to the period of its day in the first input. In that of another day it would
    # replace rows that this commit does not read, and be doubled by the next make.
    stays = (pl.col(window) == pl.col(WINDOW)) | ~is_known
    return (
        Rule(f"{window} is a day of this table", is_known.fill_null(True)),
        Rule(
            f"{window} is the day of the row in {first}",
            stays.fill_null(True),
            is_about_day=True,
        ),
    )


def _with_deletes(
    table: KeyedTable, rows: pl.LazyFrame, rules: tuple[Rule, ...]
) -> tuple[pl.LazyFrame, tuple[Rule, ...]]:
    """Returns rows with a delete flag, and rules that ask only key and sequence of deletes."""
    if table.deletes is None:
        return rows.with_columns(pl.lit(False).alias(DELETED)), rules
    known = table.properties
    asked = {*known.key, *known.sequence}
    eased = tuple(
        rule
        if asked.issuperset(_columns_of(rule))
        else replace(rule, holds=rule.holds | pl.col(DELETED))
        for rule in rules
    )
    return rows.with_columns(table.deletes.fill_null(False).alias(DELETED)), eased


def _columns_of(rule: Rule) -> set[str]:
    return {name.removeprefix(UNREAD) for name in rule.holds.meta.root_names()}
