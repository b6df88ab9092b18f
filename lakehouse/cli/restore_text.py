"""Texts about restores: what one would undo, and which ones a log holds."""

from collections.abc import Iterator, Mapping, Sequence

from lakehouse.lineage.commit_history import RESTORED, read_audit
from lakehouse.operations.restorable_versions import read_commit_time
from lakehouse.operations.restore_plan import RestorePlan, list_days
from lakehouse.publish.audit import sum_fates
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.wording import escape_control_characters, format_count

_NAMED = 10
"""How many commits or files are named; the others are counted."""


def describe_plan(plan: RestorePlan) -> Iterator[str]:
    """Yields what a restore undoes, line by line."""
    # A person says yes or no to this, so it has to fit on a screen: long lists end in a count.
    target, current = plan.target_version, plan.current.version
    if plan.is_noop:
        yield f"{plan.table} already has the content of version {target}: nothing to restore."
        return
    yield f"Restoring version {target} of {plan.table}, which is at version {current}:"
    if not plan.is_log_complete:
        yield "  the log between the two has been cleaned up, so this list is incomplete:"
    if plan.undone:
        yield f"  undoes {format_count(len(plan.undone), 'commit')}:"
        yield from _describe_commits(plan.undone)
    if plan.reapplied:
        commits = format_count(len(plan.reapplied), "commit")
        yield f"  brings back {commits} that an earlier restore undid:"
        yield from _describe_commits(plan.reapplied)
    if days := list_days(plan.audits):
        count = format_count(len(days), "day")
        yield f"  periods of these commits: {count}, {days[0]} to {days[-1]}"
    if fates := {name: count for name, count in sum_fates(plan.audits).items() if count}:
        yield f"  rows by fate: {_format_counts(fates)}"
    yield f"  rows of the table: {plan.rows[0]:,} now, {plan.rows[1]:,} afterwards"
    yield from _describe_quarantine(plan)
    yield from _describe_files(plan)
    if plan.readers:
        yield f"  affected, because they are made from it: {', '.join(plan.readers)}"
    yield "The next run rebuilds what is stale. To keep the old state, remove the cause first:"
    yield "take the bad file out of landing, or put the code back (docs/runbook.md, Restore)."


def describe_restores(lake: Lake, name: str) -> Iterator[str]:
    """Yields a line for each restore in the log of a table: the version, who asked, and why."""
    for commit in lake.read_remaining_log(name):
        if commit.info.get("operation") != "RESTORE":
            continue
        # Only `lakehouse restore` leaves a note. Of others the log has a version, or just a time.
        note = commit.info.get(RESTORED)
        parameters = note or commit.info.get("operationParameters") or {}
        version = parameters.get("version", "an earlier version")
        who = f"by {note['by']}" if note else "by another program"
        why = f": {escape_control_characters(note['reason'])}" if note and note["reason"] else ""
        yield f"version {commit.version} restored version {version}, {who}{why}"


def _describe_commits(commits: Sequence[Commit]) -> Iterator[str]:
    # Oldest first, so these are the latest.
    for commit in commits[-_NAMED:]:
        moment = read_commit_time(commit)
        time = "at an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
        yield f"    {commit.version}  {time}{_describe_commit(commit)}"
    if len(commits) > _NAMED:
        yield f"    and {len(commits) - _NAMED:,} before them"


def _describe_commit(commit: Commit) -> str:
    """Returns the run, the days and the counts of a commit."""
    audit = read_audit(commit)
    if audit is None:
        return f", {commit.info.get('operation', 'a commit')} by another program"
    days = f", {audit.days}" if audit.days else ""
    counts = _format_counts({"read": audit.read, **audit.count_fates()})
    return f", run {audit.provenance.run_id[:8]}{days}: {counts}"


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _describe_quarantine(plan: RestorePlan) -> Iterator[str]:
    now, then = plan.quarantined
    # Unchanged since the target version.
    if plan.quarantine is None:
        return
    if plan.quarantine_version is None:
        yield (
            f"  {plan.quarantine} stays as it is, because its content at that time is not known; "
            "the next run brings it up to date"
        )
    else:
        rows = format_count(now, "row")
        yield (
            f"  {plan.quarantine} is restored with it: "
            f"{rows} of this table now, {then:,} afterwards"
        )


def _describe_files(plan: RestorePlan) -> Iterator[str]:
    if plan.landed_again:
        names = _name_files(plan.landed_again)
        yield f"  files whose rows are removed, but which the next run lands again: {names}"
    # No run brings these rows back, so the line must not be overlooked.
    if plan.lost_files:
        yield (
            "  files whose rows are removed, and which are NOT in landing; to get the rows back, "
            "restore a later version or deliver the files again: "
            f"{_name_files(plan.lost_files)}"
        )


def _name_files(names: Sequence[str]) -> str:
    shown = [str(escape_control_characters(name)) for name in names[:_NAMED]]
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} ({', '.join(shown)}{more})"
