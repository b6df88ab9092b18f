"""Make a derived table, or some periods of it, from its inputs: read, transform, judge, publish.

Every row of the first input that falls into the periods is accounted for: superseded, left out by a named rule,
quarantined with the rules that it broke, or written. Inputs are pinned to the version that the audit names.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from lakehouse import as_of, query
from lakehouse.account import Account
from lakehouse.audit import Audit, Provenance, RefusedCommitError
from lakehouse.catalog import Catalog, given, unpacked
from lakehouse.contract import columns, facts
from lakehouse.contract_version import version
from lakehouse.errors import DataError, SetupError
from lakehouse.inputs import Inputs, read_inputs
from lakehouse.judging import Judged, arrived, by_period, judge, period
from lakehouse.lake import Lake
from lakehouse.publish import publish
from lakehouse.redaction import redacted
from lakehouse.retry import retrying
from lakehouse.rules import Rule, compile_rules, unread_rules
from lakehouse.sheet import Sheet
from lakehouse.tables import LINEAGE, WINDOW, DerivedTable
from lakehouse.windows import Days

_ROWS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class _Making:
    """One attempt: what to make, with whom and when."""

    lake: Lake
    catalog: Catalog
    table: DerivedTable
    days: Days | None
    run_id: str
    now: datetime


def make(  # noqa: PLR0913
    lake: Lake,
    catalog: Catalog,
    name: str,
    days: Days | None = None,
    *,
    run_id: str = "local",
    now: datetime | None = None,
) -> Audit | None:
    """Make a table again, whole or for a span of days.

    Args:
        lake: where the tables are.
        catalog: the declared tables.
        name: `staged/<table>` or `marts/<table>`.
        days: the days to make, widened to whole periods; a table with partitions is made for all its days by default.
        run_id: who asks; stored in the commit.
        now: the time that counts as the present; it decides which days exist.

    Returns:
        The audit of the commit, which names the periods that were held back because too many of their rows broke the
        contract or a table rule failed; None when the first input holds no row for it, and was not made so: then the
        table is as it was.

    Raises:
        RefusedCommitError: every period was held back; nothing was published.
        LawError: a row is unaccounted for; nothing was published.
        BusyError: other writers kept being faster.
    """
    table = catalog[name]
    if not isinstance(table, DerivedTable):
        raise SetupError(f"{name} is landed, not made.\nNext: put files into its landing folder.")
    making = _Making(lake, catalog, table, days, run_id, now or datetime.now(UTC))
    return retrying(lambda: _attempt(making))


def _attempt(making: _Making) -> Audit | None:
    table = making.table
    standing, rejects = (_standing(making.lake, name) for name in (table.name, table.quarantine))
    inputs = read_inputs(making.lake, making.catalog, table, making.days, making.now)
    if inputs is None:
        return None
    try:
        return _publish(making, inputs, standing, rejects)
    except RefusedCommitError as refused:
        rest = set(inputs.keys or ()) - set(refused.periods)
        if not rest:
            raise
        held = {period: reason for period, reason in refused.periods.items() if period is not None}
        return _publish(making, inputs.only(rest), standing, rejects, held)


def _publish(
    making: _Making, inputs: Inputs, standing: int, rejects: int, held: Mapping[date, str] | None = None
) -> Audit:
    """Judge and publish the periods of some inputs; `held` are those that an earlier verdict held back."""
    table = making.table
    provenance = Provenance(making.run_id, table.code_version, version(table.contract), inputs.versions, ids=inputs.ids)
    with tempfile.TemporaryDirectory(prefix="lakehouse-") as spool, _told_clearly(table, inputs):
        judged = _judged(making, inputs, provenance, Path(spool))
        untouched = tuple(day for day in _untouched(making.lake, table, inputs) if day not in (held or {}))
        account = Account(
            judged, inputs.days, inputs.keys, untouched, provenance, inputs.stray, inputs.whole or 0, held
        )
        return publish(
            making.lake,
            _sheet(table, judged, inputs.keys, standing),
            lambda findings: as_of.noted(account(findings), findings.answers),
            rejects=_rejects(table, judged, inputs.keys, rejects),
            questions={
                **judged.questions,
                **as_of.questions(making.lake, making.catalog, table, standing, judged.valid),
            },
        )


@contextmanager
def _told_clearly(table: DerivedTable, inputs: Inputs) -> Iterator[None]:
    """What the transform cannot do with the rows, as an error that names the place and quotes no value."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        where = f" [{inputs.days}]" if inputs.days else ""
        raise DataError(
            f"{table.name}{where}: the transform fails on the data: {redacted(error)}\n"
            "Next: mend the transform, or cast with strict=False so that the row is quarantined. Nothing was published."
        ) from None  # the error itself quotes values


def _standing(lake: Lake, name: str) -> int:
    """The version of a table before anything is read; a commit on top of a later one is refused."""
    found = lake.version(name)
    return -1 if found is None else found


def _judged(making: _Making, inputs: Inputs, provenance: Provenance, spool: Path) -> Judged:
    """The lazy pass from the inputs to judged rows, with the questions about the way there."""
    table = making.table
    first, *others = inputs.frames.values()
    read = unpacked(table, first)
    distinct = _distinct(table, inputs, read, spool) if table.distinct else read
    left_out = _first_matches(table)
    stays = ~pl.any_horizontal(left_out.values()) if left_out else None
    kept = distinct if stays is None else distinct.filter(stays)
    if table.is_sql:
        rows = query.run(making.lake, table.transform(), inputs.views(making.lake), spool)
    else:
        rows = table.transform(given(table, kept), *others)
    rules = (*unread_rules(rows.collect_schema()), *_day_rules(table, inputs), *compile_rules(table.contract))
    judged = judge(table, rules, inputs.own(rows), provenance)
    # One question for all that is asked of the same rows: each further reader of a stream holds more of it in memory.
    of_distinct = {"rows": pl.len(), **{f"filtered: {name}": matched.sum() for name, matched in left_out.items()}}
    asked: dict[str, pl.LazyFrame] = {}
    if inputs.whole is not None:
        of_distinct["strays"] = (inputs.is_stray if stays is None else inputs.is_stray & stays).sum()
    if table.is_aggregate:
        asked["passed"] = by_period(table, kept, arrived(table, is_input=True), is_input=True)
        asked["returned"] = by_period(table, inputs.given(rows), arrived(table))
    else:
        of_distinct |= arrived(table, stays, is_input=True)
    asked["distinct"] = by_period(table, inputs.own(distinct, is_input=True), of_distinct, is_input=True)
    if table.distinct:
        asked["read"] = by_period(table, inputs.own(read, is_input=True), {"rows": pl.len()}, is_input=True)
    return Judged(judged.table, judged.rules, judged.valid, judged.rejected, {**asked, **judged.questions})


def _distinct(table: DerivedTable, inputs: Inputs, rows: pl.LazyFrame, spool: Path) -> pl.LazyFrame:
    """The first of the rows that repeat each other, by origin; spooled, because the pass looks at it several times.

    Rows of two periods never repeat each other, so a few periods at a time are enough, and all that is in memory.
    """
    columns = [*table.distinct, *period(table)]
    for number, part in enumerate(inputs.chunks(rows, _ROWS_AT_ONCE)):
        first = part.sort(LINEAGE).unique(columns, keep="first")
        first.sink_parquet(spool / f"distinct-{number}.parquet", compression="lz4")
    return pl.scan_parquet(spool / "distinct-*.parquet", hive_partitioning=False)


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
    window = facts(table.contract).window
    if inputs.known is None or window is None or table.is_aggregate:
        return ()
    holds = pl.col(window).is_between(inputs.known.first, inputs.known.last).fill_null(True)
    return (Rule(f"{window} is a day of this table", holds),)


def _untouched(lake: Lake, table: DerivedTable, inputs: Inputs) -> tuple[date, ...]:
    """Periods that the table holds and the input does not: an empty read erases nothing."""
    window = facts(table.contract).window
    handle = lake.open(table.name)
    if handle is None or inputs.days is None or inputs.keys is None or window is None or table.partitions is None:
        return ()
    own = pl.scan_delta(handle).filter(pl.col(window).is_between(inputs.days.first, inputs.days.last))
    held = own.select(table.partitions.start_of(pl.col(window)).unique()).collect().to_series()
    return tuple(sorted(set(held) - set(inputs.keys)))


def _days(table: DerivedTable, keys: tuple[date, ...] | None) -> tuple[date, ...] | None:
    """All days of some periods: a row carries a day, not the name of its period."""
    if keys is None or table.partitions is None:
        return None
    return tuple(day for span in table.partitions.spans(keys) for day in span)


def _sheet(table: DerivedTable, judged: Judged, keys: tuple[date, ...] | None, based_on: int) -> Sheet:
    known, described = facts(table.contract), columns(table.contract)
    return Sheet(
        table.name,
        judged.valid,
        "replace",
        window=known.window if keys is not None else None,
        days=_days(table, keys),
        physical=known.physical if known.window else None,
        based_on=based_on,
        description=table.description,
        comments={c.name: f"{c.description}{f' [{c.unit}]' if c.unit else ''}" for c in described},
        hidden=frozenset(c.name for c in described if c.pii),
        required=frozenset(c.name for c in described if not c.nullable),
    )


def _rejects(table: DerivedTable, judged: Judged, keys: tuple[date, ...] | None, based_on: int) -> Sheet:
    return Sheet(
        table.quarantine,
        judged.rejected,
        "replace",
        window=WINDOW if keys is not None else None,
        days=_days(table, keys),
        based_on=based_on,
        description=f"Rows that {table.name} rejected, as received, with every rule that they broke.",
        hidden=frozenset(judged.rejected.collect_schema().names()) - {WINDOW, *LINEAGE},
    )
