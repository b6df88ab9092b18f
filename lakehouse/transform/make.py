"""Make a derived table, or some periods of it, from its inputs: read, transform, judge, publish.

Every row of the first input that falls into the periods is accounted for: superseded, left out by a named rule,
quarantined with the rules that it broke, or written. Inputs are pinned to the version that the audit names.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import polars as pl

from lakehouse.calendar import Days
from lakehouse.errors import SetupError
from lakehouse.lineage import dated_changes
from lakehouse.publish.audit import Audit, Provenance, RefusedCommitError
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Sheet
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine import rejected_rows
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import list_columns
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.accounting import Account
from lakehouse.transform.inputs import Inputs, read_inputs
from lakehouse.transform.keyed.make_keyed import make_keyed
from lakehouse.transform.lazy_pass import MakeContext, explain_transform_errors, judge_rows
from lakehouse.transform.row_verdicts import JudgedRows


def make(  # noqa: PLR0913
    lake: Lake,
    catalog: Catalog,
    name: str,
    days: Days | None = None,
    *,
    run_id: str = "local",
    now: datetime | None = None,
    is_replay: bool = False,
) -> Audit | None:
    """Make a table again, whole or for a span of days.

    Args:
        lake: where the tables are.
        catalog: the declared tables.
        name: `staged/<table>` or `marts/<table>`.
        days: the days to make, widened to whole periods; a table with partitions is made for all its days by default.
        run_id: who asks; stored in the commit.
        now: the time that counts as the present; it decides which days exist.
        is_replay: whether quarantined rows are given another try on purpose; their tries count it.

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
    making = MakeContext(lake, catalog, table, days, run_id, now or datetime.now(UTC), is_replay)
    return retry_if_busy(lambda: _attempt(making))


def _attempt(making: MakeContext) -> Audit | None:
    with making.lake.translate_errors():
        return _made(making)


def _made(making: MakeContext) -> Audit | None:
    table = making.table
    # Before anything is read: a commit on top of a later revision is refused.
    standing, rejects = (making.lake.revision(name) for name in (table.name, table.quarantine))
    if table.mode != "replace":
        return make_keyed(making, standing, rejects)
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
    making: MakeContext,
    inputs: Inputs,
    standing: Revision | None,
    rejects: Revision | None,
    held: Mapping[date, str] | None = None,
) -> Audit:
    """Judge and publish the periods of some inputs; `held` are those that an earlier verdict held back."""
    table, contract = making.table, making.table.contract_version
    provenance = Provenance(making.run_id, table.code_version, contract, inputs.revisions)
    with (
        create_scratch_folder() as spool,
        explain_transform_errors(table, inputs),
        report_full_disk(making.lake.root),
    ):
        judged = judge_rows(making, inputs, provenance, spool)
        untouched = tuple(
            day for day in _untouched(making.lake, table, inputs) if day not in (held or {})
        )
        account = Account(
            judged,
            inputs.days,
            inputs.keys,
            untouched,
            provenance,
            inputs.stray,
            inputs.whole or 0,
            held,
        )
        return publish(
            making.lake,
            _sheet(table, judged, inputs.keys, standing),
            lambda findings: dated_changes.note_changed_days(account(findings), findings.answers),
            rejects=rejected_rows.request_rejected_rows(
                making.lake,
                table,
                judged.rejected,
                rejects,
                making.attempt,
                days=_days(table, inputs.keys),
            ),
            questions={
                **judged.questions,
                **dated_changes.build_questions(
                    making.lake, making.catalog, table, standing, judged.valid
                ),
            },
        )


def _untouched(lake: Lake, table: DerivedTable, inputs: Inputs) -> tuple[date, ...]:
    """Periods that the table holds and the input does not: an empty read erases nothing."""
    window = table.properties.date_column
    handle = lake.open_shared(table.name)
    if (
        handle is None
        or inputs.days is None
        or inputs.keys is None
        or window is None
        or table.partitions is None
    ):
        return ()
    own = pl.scan_delta(handle).filter(
        pl.col(window).is_between(inputs.days.first, inputs.days.last)
    )
    held = (
        own.select(table.partitions.period_start_expr(pl.col(window)).unique())
        .collect()
        .to_series()
    )
    return tuple(sorted(set(held) - set(inputs.keys)))


def _days(table: DerivedTable, keys: tuple[date, ...] | None) -> tuple[date, ...] | None:
    """All days of some periods: a row carries a day, not the name of its period."""
    if keys is None or table.partitions is None:
        return None
    return tuple(day for span in table.partitions.join_to_spans(keys) for day in span)


def _sheet(
    table: DerivedTable, judged: JudgedRows, keys: tuple[date, ...] | None, base: Revision | None
) -> Sheet:
    known, described = table.properties, list_columns(table.contract)
    return Sheet(
        table.name,
        judged.valid,
        "replace",
        window=known.date_column if keys is not None else None,
        days=_days(table, keys),
        physical=known.physical if known.date_column else None,
        base=base,
        description=table.description,
        comments={c.name: c.meaning for c in described},
        hidden=frozenset(c.name for c in described if c.pii),
        required=frozenset(c.name for c in described if not c.nullable),
    )
