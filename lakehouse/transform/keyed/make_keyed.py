"""Publishes a table with keys: new rows merged into the stored ones, or made from all raw rows.

Belongs here: the choice between the two, and how the outcome gets into the table and its
quarantine.
Does not belong here: merging (`merge_events.py`, `apply_events.py`), which rows are new
(`new_rows.py`).

New events are merged into the stored rows of their keys. An event that is late, or at the same
instant as one that was seen, may fall between events that left no trace; the rows of its key are
then made from all raw rows. A table whose code, contract or raw rows are not those that it was made
from is made from all raw rows, and so is one without news.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from lakehouse.errors import list_problems
from lakehouse.expressions import has_key
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Append, ReplaceAll, ReplaceKeys, Request, TableInfo
from lakehouse.quarantine.rejected_rows import request_rejected_rows
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake, scan_all_rows
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.system_columns import DELETED, VALID, hide_tombstones
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.contract import list_columns
from lakehouse.transform.inputs import open_inputs
from lakehouse.transform.keyed.merge_events import EventMerger, MergedTable
from lakehouse.transform.lazy_pass import explain_transform_errors
from lakehouse.transform.plan import MakePlan

_TABLE_RULES = "table"
_REJECTED = "rejected"


def make_keyed(lake: Lake, catalog: Catalog, plan: MakePlan) -> Audit:
    """Brings a table with keys up to date, in one commit.

    Raises:
        DataError: a dump is too small to be believed; nothing was published.
        RefusedCommitError: too many rows broke the contract, or a table rule fails; nothing was
            published.
        LawError: a row is unaccounted for; nothing was published.
        BusyError: another writer was faster.
    """
    with (
        create_scratch_folder() as spool,
        explain_transform_errors(plan.scope),
        report_full_disk(lake.root),
    ):
        merged = _merge(lake, catalog, plan, spool)
        rejects = _request_rejects(lake, plan, merged)
        questions = {
            **_table_rules(lake, plan, merged),
            _REJECTED: rejects.rows.select(pl.len()),
        }
        return publish(
            lake,
            _request_rows(plan, merged),
            lambda findings: _check_written(plan, merged, findings),
            rejects=rejects,
            questions=questions,
        )


def _merge(lake: Lake, catalog: Catalog, plan: MakePlan, spool: Path) -> MergedTable:
    """Returns new events merged into the stored rows, or all events where that is not enough."""
    opened = open_inputs(lake, plan.inputs, plan.scope)
    if plan.new_rows is not None:
        folder = spool / "new"
        folder.mkdir()
        new = opened.with_first(plan.new_rows.scan(lake, plan.inputs[0]))
        merger = EventMerger(lake, catalog, plan, folder, _scan_stored(lake, plan))
        # Each attempt has its own folder: the second one must not read files of the first.
        merged = merger.merge(new)
        if merged is not None:
            return merged
    folder = spool / "all"
    folder.mkdir()
    merged = EventMerger(lake, catalog, plan, folder).merge(opened)
    assert merged is not None  # noqa: S101  # nothing is late where all events are merged
    return merged


def _scan_stored(lake: Lake, plan: MakePlan) -> pl.LazyFrame:
    """Returns the stored rows of the table, tombstones among them."""
    assert plan.base is not None  # noqa: S101
    return scan_all_rows(lake.open_revision(plan.table.name, plan.base))


def _request_rows(plan: MakePlan, merged: MergedTable) -> Request:
    """Returns the request to replace the rows of the merged keys, or the whole table."""
    table, described = plan.table, list_columns(plan.table.contract)
    known = table.properties
    hidden = {c.name for c in described if c.pii}
    if known.sequence[0] in hidden:
        hidden |= set(VALID[:2])  # they hold values of the sequence
    # A tombstone holds nothing but key and sequence.
    has_tombstones = DELETED in table.stored_schema
    always = {*known.key, *known.sequence}
    required = frozenset(
        c.name for c in described if not c.nullable and (not has_tombstones or c.name in always)
    )
    info = TableInfo(
        description=table.description,
        comments={c.name: c.meaning for c in described},
        hidden=frozenset(hidden),
    )
    if merged.keys is None:
        return ReplaceAll(table.name, merged.rows, base=plan.base, info=info)
    return ReplaceKeys(
        table.name, merged.rows, base=plan.base, info=info, keys=merged.keys, required=required
    )


def _request_rejects(lake: Lake, plan: MakePlan, merged: MergedTable) -> Request:
    """Returns the request to add the rejected rows to quarantine.

    Where all rows were judged, rows in quarantine that are no longer rejected are released.
    """
    # New events alone say nothing about rows that were rejected before.
    is_all = merged.keys is None
    request = request_rejected_rows(
        lake,
        plan.table,
        merged.rejected,
        plan.quarantine_base,
        replace(plan.attempt, superseded=merged.superseded),
        is_all=is_all,
    )
    if is_all or merged.audit.quarantined or merged.superseded.height:
        return request
    # Nothing was rejected: an empty append spares the quarantine a commit.
    return Append(request.table, merged.rejected, base=request.base, info=request.info)


def _table_rules(lake: Lake, plan: MakePlan, merged: MergedTable) -> Mapping[str, pl.LazyFrame]:
    """Returns the aggregates that must be true of all rows that a reader will see."""
    rules = plan.table.properties.rules
    if not rules:
        return {}
    # A rule such as a sum is about the whole table, so the rows of untouched keys are read too.
    rows = merged.rows
    if merged.keys is not None:
        others = _scan_stored(lake, plan).filter(~has_key(merged.keys))
        rows = pl.concat([others.select(rows.collect_schema().names()), rows])
    return {_TABLE_RULES: hide_tombstones(rows).select(**rules)}


def _check_written(plan: MakePlan, merged: MergedTable, findings: PassResult) -> Audit:
    """Returns the account if the merged rows were written and the table keeps its rules."""
    name, rejected = plan.table.name, findings.read_number(_REJECTED)
    findings.check_counts(name, rows=merged.height, rejected=rejected)
    answers = findings.answers.get(_TABLE_RULES)
    rules = {} if answers is None else answers.row(0, named=True)
    failed = [
        f"the table rule {rule!r} does not hold"
        for rule, holds in rules.items()
        if holds is not True
    ]
    if failed:
        message = list_problems(
            f"{name}: refused. Nothing was published; the table is unchanged.",
            failed,
            "fix the source or the transform and run again. "
            "If the rows are right, change the contract.",
        )
        raise RefusedCommitError(message, merged.audit, {None: failed[0]})
    return merged.audit
