"""The only way in which a table changes: write the files, audit them, commit.

Files are streamed to their final place, where no reader sees them yet. The verdict falls on what
was written. Then one atomic commit makes the files part of the table and carries the audit;
rejected rows are committed to quarantine just before. When anything fails on the way, the files are
deleted and the table is as it was.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import polars as pl

from lakehouse.errors import REPORT_IT, LawError
from lakehouse.failpoints import failpoint
from lakehouse.publish.audit import AUDIT_KEY, Audit, Provenance
from lakehouse.publish.conflicts import report_rebuilt_table
from lakehouse.publish.file_writer import FileWriter
from lakehouse.publish.request import Request
from lakehouse.publish.table_commit import TableCommit
from lakehouse.publish.write_plan import plan_write
from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import read_revision

PUBLISHED_WITH = "published_with"
"""The key of a quarantine commit's metadata that names the table whose rejected rows it holds."""


@dataclass(frozen=True)
class PassResult:
    """The result of the one pass over the rows, which the judge decides on.

    Attributes:
        answers: the answers to the caller's questions, by name.
        rows: how many rows are in the files of the table.
        rejected: how many rows are in the files of its quarantine.
        rejected_rows: those rows, as they were written.
        written_rows: the new rows of the table, as they were written.
    """

    answers: Mapping[str, pl.DataFrame]
    rows: int
    rejected: int
    rejected_rows: pl.LazyFrame
    written_rows: pl.LazyFrame = field(default_factory=pl.LazyFrame)

    def read_number(self, question: str) -> int:
        """Returns the answer to a question that asks for one number."""
        return int(self.answers[question].item() or 0)

    def check_counts(self, place: str, *, rows: int, rejected: int) -> None:
        """Proves that the files hold as many rows as the caller expects.

        Args:
            place: the table, and the days of it, for the message.
            rows: how many rows were to be written.
            rejected: how many rows were to be rejected.

        Raises:
            LawError: the files hold more rows, or fewer.
        """
        expected = (("written", rows, self.rows), ("rejected", rejected, self.rejected))
        for kind, wanted, found in expected:
            if wanted != found:
                raise LawError(
                    f"{place}: {wanted:,} rows should be {kind}, but the files hold {found:,}.\n"
                    f"{REPORT_IT}"
                )


def publish(
    lake: Lake,
    request: Request,
    judge: Callable[[PassResult], Audit],
    *,
    rejects: Request | None = None,
    questions: Mapping[str, pl.LazyFrame] | None = None,
) -> Audit:
    """Writes, audits and commits the rows of a request.

    Args:
        lake: where the tables are.
        request: the rows to publish.
        judge: makes the audit from the result of the pass, or raises to refuse the commit.
        rejects: the rows that broke the contract, for the quarantine.
        questions: aggregates that the same pass answers.

    Returns:
        The audit as it was stored, with the version that carries it.

    Raises:
        SetupError: the columns of a table changed and rows would stay without them, or the disk is
            full; nothing was published.
        BusyError: another writer was faster; nothing was published.
        LawError: a row has no fate; nothing was published.
    """
    started = time.monotonic()
    with ExitStack() as undo, report_full_disk(lake.root), report_rebuilt_table(lake, request):
        main = TableCommit(lake, plan_write(lake, request))
        # What another program does to the quarantine meanwhile must not pass for known.
        plans = [] if rejects is None else [plan_write(lake, rejects)]
        quarantine = [TableCommit(lake, plan, is_exclusive=True) for plan in plans]
        for commit in (main, *quarantine):
            # Called after success as well; it keeps the files of a commit.
            undo.callback(commit.discard)
        result = _write_files(main.files, [commit.files for commit in quarantine], questions or {})
        # A kill up to here leaves files that no version names; vacuum deletes them.
        failpoint("publish: files written")
        audit = judge(result).check_balance()
        audit = _measure(audit, main.files, result.rows, started)
        # Rejected rows go first: a kill in between leaves rejects that the next run writes again,
        # but never a table whose rejects are lost.
        for commit in quarantine:
            provenance = _commit_rejects(lake, commit, request.table, audit.provenance)
            audit = replace(audit, provenance=provenance)
        failpoint("publish: quarantine committed")
        version = main.commit({AUDIT_KEY: audit.to_metadata()})
        failpoint("publish: committed")
    return replace(audit, version=version)


def _write_files(
    main: FileWriter, quarantine: Sequence[FileWriter], questions: Mapping[str, pl.LazyFrame]
) -> PassResult:
    """Writes new rows and answers the questions in one streaming pass; then moves other rows."""
    writers = [main, *quarantine]
    # All sinks and questions run in one query, so that they share one scan of the sources.
    sinks = [writer.sink_new_rows() for writer in writers]
    counts = [writer.count_replaced_rows() for writer in writers]
    failpoint("publish: before files")
    queries = [*sinks, *questions.values(), *(count for count in counts if count is not None)]
    # The answers come in the order of the queries; a sink answers with an empty frame.
    results = iter(pl.collect_all(queries, engine="streaming")[len(sinks) :])
    answers = {name: next(results) for name in questions}
    for writer, count in zip(writers, counts, strict=True):
        # After the pass, whose count of replaced rows proves that no kept row was lost on the way.
        writer.move_kept_rows(0 if count is None else int(next(results).item() or 0))
        # A quarantine without changes gets no commit, and compacted files would be orphans.
        if writer is main or writer.has_changes:
            writer.compact_small_files()
    return PassResult(
        answers,
        main.new_rows,
        sum(writer.new_rows for writer in quarantine),
        quarantine[0].scan_new_rows() if quarantine else pl.LazyFrame(),
        main.scan_new_rows(),
    )


def _measure(audit: Audit, files: FileWriter, rows: int, started: float) -> Audit:
    """Returns an audit with the figures of the files and the time."""
    if audit.keeps_files:
        audit = replace(audit, keeps_files=files.keep_live_files())
    # The commit carries these figures, so its own time cannot be among them. A caller that worked
    # before `publish`, as tables with keys do, has put its seconds into the audit.
    return replace(
        audit,
        rows=rows,
        carried=files.carried_rows,
        bytes=sum(file.size for file in files.files),
        files=len(files.files),
        seconds=round(audit.seconds + time.monotonic() - started, 3),
        audited_at=datetime.now(UTC),
    )


def _commit_rejects(
    lake: Lake, commit: TableCommit, table: str, provenance: Provenance
) -> Provenance:
    """Commits the rejected rows.

    Returns:
        The provenance with their revision, so that a later change of them is seen.
    """
    # Also without a commit: lineage compares this revision with the quarantine, so periods whose
    # rejected rows are rolled back or deleted later become stale.
    handle = commit.plan.handle
    if commit.files.has_changes:
        version = commit.commit({PUBLISHED_WITH: table, "run_id": provenance.run_id})
        handle = lake.open_shared(commit.plan.table, version)
    return replace(provenance, quarantine=None if handle is None else read_revision(handle))
