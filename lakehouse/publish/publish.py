"""The only way in which a table changes: write the files, audit them, commit.

Files are streamed to their final place, where no reader sees them yet. The verdict falls on what was written. Then one
atomic commit makes them the table and carries the audit; rejected rows are committed to quarantine just before. When
anything fails on the way, the files are taken away again and the table is as it was.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import polars as pl

from lakehouse.failpoints import failpoint
from lakehouse.publish.audit import AUDIT_KEY, Audit, Provenance
from lakehouse.publish.file_writer import Draft
from lakehouse.publish.request import Sheet
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import read_revision

PUBLISHED_WITH = "published_with"
"""The key of a quarantine commit's metadata that names the table whose rejected rows it holds."""


@dataclass(frozen=True)
class PassResult:
    """What the pass found out.

    Attributes:
        answers: the answers to its questions, by name.
        rows: how many rows are in the files of the table.
        rejected: how many are in those of its quarantine.
        rejects: these rows, as they were written.
    """

    answers: Mapping[str, pl.DataFrame]
    rows: int
    rejected: int
    rejects: pl.LazyFrame

    def number(self, question: str) -> int:
        """The answer to a question that asks for one number."""
        return int(self.answers[question].item() or 0)


def publish(
    lake: Lake,
    sheet: Sheet,
    judge: Callable[[PassResult], Audit],
    *,
    rejects: Sheet | None = None,
    questions: Mapping[str, pl.LazyFrame] | None = None,
) -> Audit:
    """Write, audit, commit.

    Args:
        lake: where the tables are.
        sheet: the rows to publish.
        judge: turns what the pass found into an audit, or refuses by raising; seconds in it were spent before.
        rejects: rows that broke the contract, on their way into quarantine.
        questions: aggregates that the same pass answers.

    Returns:
        The audit as it was stored, with the version that now carries it.

    Raises:
        SetupError: the columns of a table changed, and rows would stay that do not have them, or the disk is full;
            nothing was published.
        BusyError: another writer was faster; nothing was published.
        LawError: the books do not balance; nothing was published.
    """
    started, asked = time.monotonic(), dict(questions or {})
    with ExitStack() as undo, report_full_disk(lake.root):
        drafts = [Draft(lake, sheet)] + (
            [Draft(lake, rejects, is_optional=True)] if rejects is not None else []
        )
        for draft in drafts:
            draft.prove()
            undo.callback(draft.discard)
        main, findings = drafts[0], _write(drafts, asked)
        failpoint("publish: files written")
        audit = judge(findings).check_balance()
        audit = replace(
            audit,
            rows=findings.rows,
            carried=sum(file.num_rows for file in main.carried),
            bytes=sum(file.num_bytes for file in (*main.new, *main.carried)),
            files=len([file for file in (*main.new, *main.carried) if file.num_rows]),
            seconds=round(audit.seconds + time.monotonic() - started, 3),
            audited_at=datetime.now(UTC),
        )
        for draft in drafts[1:]:
            audit = replace(audit, provenance=_quarantined(draft, sheet.table, audit.provenance))
        failpoint("publish: quarantine committed")
        version = main.commit({AUDIT_KEY: audit.to_metadata()})
        failpoint("publish: committed")
    return replace(audit, version=version)


def _quarantined(draft: Draft, table: str, provenance: Provenance) -> Provenance:
    """Commit the rejected rows; gives the provenance with their place, so that a later change of them is found out."""
    if draft.changes:
        draft.commit({PUBLISHED_WITH: table, "run_id": provenance.run_id})
    handle = draft.lake.open_shared(draft.sheet.table)
    if handle is None:
        return provenance
    return replace(provenance, quarantine=read_revision(handle))


def _write(drafts: Sequence[Draft], questions: Mapping[str, pl.LazyFrame]) -> PassResult:
    """One streaming pass: the new files of every table, and the answers to every question; then the rows that move."""
    sinks = [draft.sink() for draft in drafts]
    losses = [(draft, lost) for draft in drafts if (lost := draft.lost()) is not None]
    failpoint("publish: before files")
    frames = [*sinks, *questions.values(), *(lost for _, lost in losses)]
    results = pl.collect_all(frames, engine="streaming")[len(sinks) :]
    for draft in drafts:
        draft.carry()
    for (draft, _), result in zip(losses, results[len(questions) :], strict=True):
        draft.check_carried(int(result.item() or 0))
    rows = [sum(file.num_rows for file in draft.new) for draft in drafts]
    answers = dict(zip(questions, results[: len(questions)], strict=True))
    rejects = drafts[1].written() if len(drafts) > 1 else pl.LazyFrame()
    return PassResult(answers, rows[0], rows[1] if len(rows) > 1 else 0, rejects)
