"""Publish a table with keys: what new raw rows make of what stands, or the table folded anew from all of them.

Belongs here: the choice between the two, and the way of the outcome into the table and its quarantine.
Does not belong here: the folding (`folding.py`, `fold.py`), which rows are new (`fresh.py`).

New rows are folded with what stands of their keys. An event that is late, or equal in time to one that was seen, may
fall between events that left no trace; the rows of its key are then folded from all raw rows. A table whose code,
contract or raw rows are not those that it was made from is folded anew, and so is one that is made without news.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from lakehouse.errors import LawError, list_problems
from lakehouse.expressions import has_key
from lakehouse.publish.audit import Audit, RefusedCommitError
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Sheet
from lakehouse.quarantine.rejected_rows import request_rejected_rows as rejects_of
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import scan_all_rows
from lakehouse.storage.revision import Revision
from lakehouse.storage.scratch import create_scratch_folder
from lakehouse.system_columns import DELETED, VALID, hide_tombstones
from lakehouse.tables.contract import list_columns
from lakehouse.tables.reading import add_missing_columns
from lakehouse.tables.table_types import RawTable
from lakehouse.transform.inputs import Inputs, read_inputs
from lakehouse.transform.keyed.folding import Folded, Folding
from lakehouse.transform.keyed.new_rows import find_new_rows
from lakehouse.transform.lazy_pass import MakeContext, explain_transform_errors


def make_keyed(
    making: MakeContext, standing: Revision | None, rejects: Revision | None
) -> Audit | None:
    """Bring a table with keys up to date, in one commit.

    Args:
        making: what to make.
        standing: the revision of the table that stands; None for none.
        rejects: the revision of its quarantine; None for none.

    Returns:
        The audit of the commit; None when the raw table holds no row.

    Raises:
        DataError: a dump is too small to be believed; nothing was published.
        RefusedCommitError: too many rows broke the contract, or a table rule fails; nothing was published.
        LawError: a row is unaccounted for; nothing was published.
        BusyError: another writer was faster.
    """
    everything = read_inputs(making.lake, making.catalog, making.table, None, making.now)
    if everything is None:
        return None
    named, root = explain_transform_errors(making.table, everything), making.lake.root
    with create_scratch_folder() as spool, named, report_full_disk(root):
        folded = _folded(making, everything, standing, spool)
        rejected = _rejects(making, folded, rejects)
        return publish(
            making.lake,
            _sheet(making, folded, standing),
            lambda findings: _proved(making, folded, findings),
            rejects=rejected,
            questions={
                **_table_rules(making, folded, standing),
                "rejected": rejected.rows.select(pl.len()),
            },
        )


def _folded(
    making: MakeContext, everything: Inputs, standing: Revision | None, spool: Path
) -> Folded:
    """What new rows make of what stands; what all rows make, where that is not enough, or to replay those rejected."""
    fresh = _fresh(making, everything) if standing is not None and not making.is_replay else None
    folded = None
    if fresh is not None and standing is not None:
        folded = Folding(making, everything, spool, _standing(making, standing)).of(fresh)
    folded = Folding(making, everything, spool).of(everything) if folded is None else folded
    assert folded is not None  # noqa: S101
    return folded


def _fresh(making: MakeContext, everything: Inputs) -> Inputs | None:
    """The inputs with the new rows alone; None when the table has to be folded anew."""
    parameter, name = next(iter(everything.names.items()))
    source, revision = making.catalog[name], everything.revisions[name]
    assert revision is not None  # noqa: S101
    current = making.lake.open_shared(name, revision.version)
    assert current is not None  # noqa: S101
    assert isinstance(source, RawTable)  # noqa: S101
    rows = find_new_rows(making.lake, making.table, name, current)
    return (
        None
        if rows is None
        else replace(everything, frames={parameter: add_missing_columns(rows, source)})
    )


def _standing(making: MakeContext, revision: Revision) -> pl.LazyFrame:
    """The rows that stand, tombstones among them."""
    handle = making.lake.open_shared(making.table.name, revision.version)
    assert handle is not None  # noqa: S101
    return scan_all_rows(handle)


def _sheet(making: MakeContext, folded: Folded, standing: Revision | None) -> Sheet:
    table, described = making.table, list_columns(making.table.contract)
    known = table.properties
    has_tombstones = DELETED in table.stored_schema
    hidden = {c.name for c in described if c.pii}
    always = {*known.key, *known.sequence}
    return Sheet(
        table.name,
        folded.stands,
        "replace",
        keys=folded.keys,
        base=standing,
        description=table.description,
        comments={c.name: c.meaning for c in described},
        hidden=frozenset((*hidden, *(VALID[:2] if known.sequence[0] in hidden else ()))),
        required=frozenset(
            c.name for c in described if not c.nullable and (not has_tombstones or c.name in always)
        ),
    )


def _rejects(making: MakeContext, folded: Folded, standing: Revision | None) -> Sheet:
    """The rejected rows beside those that stand; a folding of all rows has judged those too."""
    is_all = folded.keys is None
    sheet = rejects_of(
        making.lake, making.table, folded.rejected, standing, making.attempt, is_all=is_all
    )
    return (
        sheet
        if is_all or folded.audit.quarantined
        else replace(sheet, rows=folded.rejected, mode="append")
    )


def _table_rules(
    making: MakeContext, folded: Folded, standing: Revision | None
) -> Mapping[str, pl.LazyFrame]:
    """The aggregates that must be true of all rows that a reader will see."""
    rules = making.table.properties.rules
    if not rules:
        return {}
    rows = folded.stands
    if folded.keys is not None and standing is not None:
        others = _standing(making, standing).filter(~has_key(folded.keys))
        rows = pl.concat([others.select(rows.collect_schema().names()), rows])
    return {"table": hide_tombstones(rows).select(**rules)}


def _proved(making: MakeContext, folded: Folded, findings: PassResult) -> Audit:
    """The account, when what was written is what was folded, and the table keeps its rules."""
    name, audit = making.table.name, folded.audit
    if findings.rows != folded.height:
        raise LawError(
            f"{name}: {folded.height:,} rows were folded, {findings.rows:,} are in the files."
        )
    if findings.rejected != (wanted := findings.number("rejected")):
        raise LawError(
            f"{name}: {wanted:,} rows were to be rejected, {findings.rejected:,} are in the files."
        )
    told = findings.answers["table"].row(0, named=True) if "table" in findings.answers else {}
    failed = [
        f"the table rule {rule!r} does not hold"
        for rule, holds in told.items()
        if holds is not True
    ]
    if failed:
        headline = f"{name}: refused, nothing of it was published; the table is as it was."
        next_step = (
            "mend the source or the transform and run again; or change the contract on purpose."
        )
        raise RefusedCommitError(
            list_problems(headline, failed, next_step), audit, {None: failed[0]}
        )
    return audit
