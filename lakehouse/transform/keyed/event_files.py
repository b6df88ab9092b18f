"""The events of a table with keys: judged, written to scratch files, and accounted for.

The rows are read several times from here on, so that the pass over the inputs runs once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.system_columns import EVENT, LAST, LINEAGE
from lakehouse.transform.accounting import CountedPass, account_for_rows
from lakehouse.transform.inputs import InputFrames, open_inputs
from lakehouse.transform.keyed.apply_events import EventSemantics, is_after
from lakehouse.transform.keyed.full_dumps import leave_out_refused
from lakehouse.transform.lazy_pass import judge_rows
from lakehouse.transform.period_counts import PassCounts, count_periods
from lakehouse.transform.plan import MakePlan
from lakehouse.transform.row_verdicts import JudgedRows
from lakehouse.transform.superseded_rejects import (
    find_corrected,
    find_superseded,
    list_rewritten,
    select_keyless,
)

SPOOL: Mapping[str, Any] = {"compression": "lz4", "row_group_size": 16_384}
"""How rows are written to scratch files: lz4 is cheap, and each reader holds one row group."""


@dataclass(frozen=True)
class EventFiles:
    """Judged events in files.

    Attributes:
        valid: the events to apply.
        rejected: the rows that broke the contract, as they go to quarantine.
        broke: key, sequence and origin of every row that broke the contract, superseded ones among
            them: to a full dump they show that it held the key.
        superseded: key and origin of rows that broke the contract and do not count as rejected,
            because a newer event has superseded them.
        audit: the account of the rows that were read.
    """

    valid: pl.LazyFrame
    rejected: pl.LazyFrame
    broke: pl.LazyFrame
    superseded: pl.DataFrame
    audit: Audit


def write_events(
    lake: Lake,
    plan: MakePlan,
    opened: InputFrames,
    folder: Path,
    stored: pl.LazyFrame | None,
    read_all_events: Callable[[], pl.LazyFrame],
) -> EventFiles:
    """Judges the rows of some inputs and writes them to files.

    Args:
        lake: where the tables are.
        plan: what is made.
        opened: the rows to judge.
        folder: where the files go.
        stored: the rows of the table; None when it is made from all events.
        read_all_events: returns every event of the inputs, old and new; called only when a late
            event broke the contract.

    Raises:
        RefusedCommitError: too many rows broke the contract.
        LawError: a row is unaccounted for.
    """
    judged = judge_rows(lake, plan, opened, folder)
    semantics = EventSemantics.of(plan.keyed_table)
    files, answers = _write_files(judged, folder)
    broke = unnest_events(files["rejected"])
    # Of every file that landed: another one of the same name may have come before.
    read = opened.first if stored is None else open_inputs(lake, plan.inputs, plan.scope).first
    superseded = _find_superseded(semantics, broke, files["valid"], stored, read, read_all_events)
    rejected = drop_events(files["rejected"], superseded)
    # Read back rather than taken from the aggregates: a write that loses rows has to be caught.
    written, count = (rows.select(pl.len()).collect().item() for rows in (files["valid"], rejected))
    counts = _count_superseded(count_periods(plan.table, answers), superseded.height)
    result = CountedPass(counts, written, rejected if count else None)
    # Rows of refused dumps are superseded by those of the next one, as if it had followed at once.
    return EventFiles(
        valid=leave_out_refused(plan.keyed_table, files["valid"]),
        rejected=rejected,
        broke=leave_out_refused(plan.keyed_table, broke),
        superseded=superseded,
        audit=account_for_rows(judged, plan.scope, plan.provenance, result),
    )


def _write_files(
    judged: JudgedRows, folder: Path
) -> tuple[Mapping[str, pl.LazyFrame], Mapping[str, pl.DataFrame]]:
    """Writes the valid and the rejected rows to files; returns these, and the answers."""
    frames = {"valid": judged.valid, "rejected": judged.rejected}
    # One pass over the inputs writes all files and answers all questions.
    sinks = [
        rows.sink_parquet(folder / f"{name}.parquet", **SPOOL, lazy=True)
        for name, rows in frames.items()
    ]
    results = pl.collect_all([*sinks, *judged.questions.values()], engine="streaming")
    answers = dict(zip(judged.questions, results[len(sinks) :], strict=True))
    return {name: scan_parquet_files(folder / f"{name}.parquet") for name in frames}, answers


def _find_superseded(
    semantics: EventSemantics,
    broke: pl.LazyFrame,
    valid: pl.LazyFrame,
    stored: pl.LazyFrame | None,
    read: pl.LazyFrame,
    read_all_events: Callable[[], pl.LazyFrame],
) -> pl.DataFrame:
    """Returns key and origin of the events that broke the contract and that newer ones replace."""
    versions, rejected = semantics.versions, broke.collect()
    good = [valid] if stored is None else [valid, stored]
    found = find_superseded(versions, rejected, good)
    left = rejected.join(found, on=list(LINEAGE), how="anti")
    late, keyless = left.clear(), select_keyless(versions.key, left)
    if stored is not None and semantics.has_own_trace and left.height:
        # The good event of the same instant may have left no row: it repeated the state before it.
        seen = stored.filter(semantics.is_latest).select(*semantics.key, LAST)
        is_late = ~is_after(semantics.instant, pl.col(LAST))
        late = left.lazy().join(seen, on=list(semantics.key)).filter(is_late).drop(LAST).collect()
    names = list_rewritten(keyless, read)
    if late.is_empty() and names.is_empty():
        return found
    every = valid if stored is None else read_all_events()
    if late.height:
        found = pl.concat([found, find_superseded(versions, late, [every])])
    if not names.is_empty():
        corrected = find_corrected(keyless, every, names, semantics.columns)
        found = pl.concat([found, corrected.select(found.columns)])
    return found


def unnest_events(rejected: pl.LazyFrame) -> pl.LazyFrame:
    """Returns key, sequence, time of writing and origin of rejected rows."""
    return rejected.select(EVENT, *LINEAGE).unnest(EVENT)


def drop_events(rejected: pl.LazyFrame, superseded: pl.DataFrame) -> pl.LazyFrame:
    """Returns rejected rows without the superseded ones."""
    if superseded.is_empty():
        return rejected
    fields = [
        name if name in LINEAGE else pl.col(EVENT).struct.field(name) for name in superseded.columns
    ]
    wanted = superseded.to_struct().implode()
    return rejected.filter(~pl.struct(fields).is_in(wanted, nulls_equal=True))


def _count_superseded(counts: PassCounts, superseded: int) -> PassCounts:
    """Returns the counts of a pass with some rows as superseded rather than rejected."""
    periods = {
        period: replace(
            one,
            quarantined=one.quarantined - superseded,
            superseded=one.superseded + superseded,
            rejected_rows=one.rejected_rows - superseded,
        )
        for period, one in counts.periods.items()
    }
    return replace(counts, periods=periods)


def write_rows(rows: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Writes rows to a file of their own, and returns them from there."""
    rows.sink_parquet(file, **SPOOL, engine="streaming")
    return scan_parquet_files(file)
