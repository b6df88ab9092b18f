"""The events of a table with keys: judged, written to scratch files, and accounted for.

The rows are read several times from here on, so that the pass over the inputs runs once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lakehouse.publish.audit import Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.parquet import scan_parquet_files
from lakehouse.transform.accounting import CountedPass, account_for_rows
from lakehouse.transform.inputs import InputFrames
from lakehouse.transform.keyed.apply_events import EventSemantics
from lakehouse.transform.lazy_pass import judge_rows
from lakehouse.transform.period_counts import count_periods
from lakehouse.transform.plan import MakePlan

SPOOL: Mapping[str, Any] = {"compression": "lz4", "row_group_size": 16_384}
"""How rows are written to scratch files: lz4 is cheap, and each reader holds one row group."""


@dataclass(frozen=True)
class EventFiles:
    """Judged events in files.

    Attributes:
        valid: the events to apply.
        rejected: the rows that broke the contract, as they go to quarantine.
        broke: key, moment and origin of these, for full dumps: a row that broke the contract shows
            that the dump held its key.
        audit: the account of the rows that were read.
    """

    valid: pl.LazyFrame
    rejected: pl.LazyFrame
    broke: pl.LazyFrame
    audit: Audit


def write_events(lake: Lake, plan: MakePlan, opened: InputFrames, folder: Path) -> EventFiles:
    """Judges the rows of some inputs and writes them to files.

    Raises:
        RefusedCommitError: too many rows broke the contract.
        LawError: a row is unaccounted for.
    """
    judged = judge_rows(lake, plan, opened, folder)
    semantics = EventSemantics.of(plan.keyed_table)
    # Nothing else is needed of broken rows: a dump only asks which keys it held.
    named = [*semantics.key, semantics.moment, "_source", "_modified_at"]
    frames = {"valid": judged.valid, "rejected": judged.rejected}
    # Only a dump draws conclusions from a key that it lacks, so only it must know broken rows.
    if semantics.is_dumped:
        frames["broke"] = judged.broke.select(named)
    # One pass over the inputs writes all files and answers all questions.
    sinks = [
        rows.sink_parquet(folder / f"{name}.parquet", **SPOOL, lazy=True)
        for name, rows in frames.items()
    ]
    results = pl.collect_all([*sinks, *judged.questions.values()], engine="streaming")
    answers = dict(zip(judged.questions, results[len(sinks) :], strict=True))
    files = {name: scan_parquet_files(folder / f"{name}.parquet") for name in frames}
    # Read back rather than taken from the aggregates: a write that loses rows has to be caught.
    written, rejected = (
        files[name].select(pl.len()).collect().item() for name in ("valid", "rejected")
    )
    result = CountedPass(
        count_periods(plan.table, answers), written, files["rejected"] if rejected else None
    )
    return EventFiles(
        valid=files["valid"],
        rejected=files["rejected"],
        broke=files.get("broke", pl.LazyFrame()),
        audit=account_for_rows(judged, plan.scope, plan.provenance, result),
    )


def write_rows(rows: pl.LazyFrame, file: Path) -> pl.LazyFrame:
    """Writes rows to a file of their own, and returns them from there."""
    rows.sink_parquet(file, **SPOOL, engine="streaming")
    return scan_parquet_files(file)
