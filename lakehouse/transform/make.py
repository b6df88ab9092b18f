"""Makes a derived table, or some periods of it, from its inputs: plan, judge, publish.

Every row of the first input that falls into the periods is accounted for: superseded, left out by a
named rule, quarantined with the rules that it broke, or written. Inputs are pinned to the version
that the audit names.
"""

from dataclasses import replace
from datetime import UTC, datetime

from lakehouse.calendar import Days
from lakehouse.errors import SetupError
from lakehouse.lineage import dated_changes
from lakehouse.lineage.content_hash import note_content
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import ReplaceAll, ReplaceDays, Request, TableInfo
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.rejected_rows import request_rejected_rows
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import list_columns
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.table_types import DerivedTable
from lakehouse.transform.accounting import CountedPass, account_for_rows
from lakehouse.transform.inputs import open_inputs
from lakehouse.transform.keyed.make_keyed import make_keyed
from lakehouse.transform.lazy_pass import explain_transform_errors, judge_rows
from lakehouse.transform.limits import MakeLimits
from lakehouse.transform.period_counts import read_content_hashes
from lakehouse.transform.plan import MakePlan, MakeRequest, plan_make
from lakehouse.transform.row_verdicts import JudgedRows
from lakehouse.transform.superseded_pass import SupersededRowsError, refuse_superseded


def make(  # noqa: PLR0913  # where, what and which days; the other four only say who asks, when and within which limits
    lake: Lake,
    catalog: Catalog,
    name: str,
    days: Days | None = None,
    *,
    run_id: str = "local",
    now: datetime | None = None,
    is_replay: bool = False,
    limits: MakeLimits | None = None,
) -> Audit | None:
    """Makes a table, whole or for a span of days, and publishes it in one commit.

    Args:
        lake: where the tables are.
        catalog: the declared tables.
        name: `staged/<table>` or `marts/<table>`.
        days: the days to make, widened to whole periods; a table with partitions is made for all
            its days by default.
        run_id: who asks; stored in the commit.
        now: the time that counts as the present; it decides which days exist.
        is_replay: whether quarantined rows are given another try on purpose, which is counted.
        limits: how much is held in memory.

    Returns:
        The audit of the commit, which names the periods that were held back because too many of
        their rows broke the contract or a table rule failed. None when the first input holds no row
        for the table and is not empty on purpose; then the table is as it was.

    Raises:
        SetupError: the table is raw.
        DataError: the table has none of these days, the transform fails on a value, or a full dump
            is too small.
        RefusedCommitError: every period was held back; nothing was published.
        LawError: a row is unaccounted for; nothing was published.
        BusyError: other writers kept being faster.
    """
    table = catalog[name]
    if not isinstance(table, DerivedTable):
        raise SetupError(f"{name} is landed, not made.\nNext: put files into its landing folder.")
    request = MakeRequest(
        table, days, run_id, now or datetime.now(UTC), is_replay, limits or MakeLimits()
    )
    return retry_if_busy(lambda: _make_once(lake, catalog, request))


def _make_once(lake: Lake, catalog: Catalog, request: MakeRequest) -> Audit | None:
    with lake.translate_errors():
        # Planned anew in each attempt: committing the old files again would not see what changed.
        plan = plan_make(lake, catalog, request)
        if plan is None:
            return None
        if isinstance(plan.table, KeyedTable):
            return make_keyed(lake, catalog, plan)
        try:
            return _run(lake, catalog, plan)
        # Bad periods are held back alone: the good ones are judged and written again without them.
        # Judged together, a small dirty day passed in company and was refused alone, so that a
        # backfill differed from its increments.
        except RefusedCommitError as refused:
            rest = plan.without(refused.periods)
            if rest is None:
                raise
            return _run(lake, catalog, rest)


def _run(lake: Lake, catalog: Catalog, plan: MakePlan) -> Audit:
    """Judges and publishes the periods of a plan, or refuses them."""
    try:
        return _publish(lake, catalog, plan)
    # Which rejected rows a newer one supersedes is known only after the pass. Most passes have
    # none; the others are made once more.
    except SupersededRowsError as found:
        return _publish(lake, catalog, replace(plan, superseded=found.rows))


def _publish(lake: Lake, catalog: Catalog, plan: MakePlan) -> Audit:
    table, scope = plan.table, plan.scope
    with (
        create_scratch_folder() as spool,
        explain_transform_errors(scope),
        report_full_disk(lake.root),
    ):
        opened = open_inputs(lake, plan.inputs, scope)
        judged = judge_rows(lake, plan, opened, spool)
        changes = dated_changes.build_questions(lake, catalog, table, plan.base, judged.valid)

        # Called by `publish` when the files are written and nothing is committed yet. The content
        # is compared last: that reads the table's log, which a refused commit does not need.
        def account(findings: PassResult) -> Audit:
            refuse_superseded(judged, opened.first, findings)
            result = CountedPass.of(judged, findings)
            audit = account_for_rows(judged, scope, plan.provenance, result)
            audit = dated_changes.note_changed_days(audit, findings.answers)
            hashes = read_content_hashes(table, findings.answers)
            return note_content(lake, table, plan.base, audit, hashes)

        rejects = request_rejected_rows(
            lake,
            table,
            judged.rejected,
            plan.quarantine_base,
            plan.attempt,
            days=scope.all_days,
        )
        return publish(
            lake,
            _request_rows(plan, judged),
            account,
            rejects=rejects,
            questions={**judged.questions, **changes},
        )


def _request_rows(plan: MakePlan, judged: JudgedRows) -> Request:
    """Returns the request to put the judged rows in the place of the periods of a plan."""
    # A row carries a day rather than its period, so days are what is replaced. By the first day of
    # each period alone, a table by months kept its old rows beside the new ones.
    table, days = plan.table, plan.scope.all_days
    known, described = table.properties, list_columns(table.contract)
    # Bounds in the log outlive the rows that they are of, so personal data gets none.
    info = TableInfo(
        description=table.description,
        comments={c.name: c.meaning for c in described},
        hidden=frozenset(c.name for c in described if c.pii),
    )
    if days is None or known.date_column is None:
        return ReplaceAll(table.name, judged.valid, base=plan.base, info=info)
    return ReplaceDays(
        table.name,
        judged.valid,
        base=plan.base,
        info=info,
        day_column=known.date_column,
        days=days,
        physical=known.physical,
        required=frozenset(c.name for c in described if not c.nullable),
    )
