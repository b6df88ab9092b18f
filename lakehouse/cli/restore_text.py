"""What going back to an earlier version undoes, as a person is told of it before it is done."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from lakehouse.lineage.commit_history import RESTORED, read_audit
from lakehouse.operations.restore_plan import RestorePlan, list_days, read_commit_time
from lakehouse.publish.audit import sum_fates
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit
from lakehouse.wording import escape_control_characters, format_count

_NAMED = 10


def describe_plan(found: RestorePlan) -> Iterator[str]:
    """What it undoes, line by line."""
    if found.is_noop:
        yield f"{found.table} holds what it held at version {found.version}: nothing to go back to."
        return
    yield f"Going back from version {found.standing} of {found.table} to version {found.version}:"
    if not found.is_whole:
        yield "  the log has been cleaned up in between, so this is not all:"
    if found.undone:
        yield f"  undoes {format_count(len(found.undone), 'commit')}:"
        yield from _commits(found.undone)
    if found.redone:
        yield f"  brings back {format_count(len(found.redone), 'commit')} that an earlier restore undid:"
        yield from _commits(found.redone)
    if days := list_days(found.audits):
        yield f"  periods that were made in these: {format_count(len(days), 'day')}, {days[0]} to {days[-1]}"
    if fates := {name: count for name, count in sum_fates(found.audits).items() if count}:
        yield f"  rows by what had become of them: {', '.join(f'{name} {count:,}' for name, count in fates.items())}"
    yield f"  rows of the table: {found.rows[0]:,}, then {found.rows[1]:,}"
    yield from _rejects(found)
    yield from _files(found)
    if found.readers:
        yield f"  made from it, and so from what it holds then: {', '.join(found.readers)}"
    yield "The next run makes again what is stale then. An old state stays only if its cause is taken away first:"
    yield "the bad file out of landing, or the code put back (docs/runbook.md, Restore)."


def describe_restores(lake: Lake, name: str) -> Iterator[str]:
    """Each restore that the log of a table holds, in a line: what it went back to, who asked, and why."""
    for commit in lake.read_remaining_log(name):
        if commit.info.get("operation") == "RESTORE":
            told = commit.info.get(RESTORED)
            where = (told or commit.info.get("operationParameters") or {}).get(
                "version", "an earlier version"
            )
            who = f"by {told['by']}" if told else "by another program"
            why = f": {told['reason']}" if told and told["reason"] else ""
            yield f"version {commit.version} went back to version {where}, {who}{why}"


def _commits(commits: Sequence[Commit]) -> Iterator[str]:
    for commit in commits[-_NAMED:]:
        audit = read_audit(commit)
        run = f", run {audit.provenance.run_id[:8]}" if audit else ""
        days = f", {audit.days}" if audit and audit.days else ""
        fates = (
            f": {', '.join(f'{n} {c:,}' for n, c in {'read': audit.read, **audit.count_fates()}.items())}"
            if audit
            else ""
        )
        yield f"    {commit.version}  {_at(read_commit_time(commit))}{_kind(commit)}{run}{days}{fates}"
    if len(commits) > _NAMED:
        yield f"    and {len(commits) - _NAMED:,} before them"


def _kind(commit: Commit) -> str:
    return (
        ""
        if read_audit(commit)
        else f", {commit.info.get('operation', 'a commit')} by another program"
    )


def _at(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _rejects(found: RestorePlan) -> Iterator[str]:
    now, then = found.rejected
    if found.rejects is None:
        return
    if found.rejects_version is None:
        yield f"  {found.rejects} stays as it is: nobody can tell what it held then; the next run brings it into order"
    else:
        yield f"  {found.rejects} goes back with it: {format_count(now, 'row')} of this table, then {then:,}"


def _files(found: RestorePlan) -> Iterator[str]:
    if found.again:
        yield f"  files whose rows go, and which the next run lands again from landing: {_named(found.again)}"
    if found.lost:
        yield (
            f"  files whose rows go, and which are NOT in landing, so that only going forward again, or delivering "
            f"them again, brings the rows back: {_named(found.lost)}"
        )


def _named(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} ({', '.join(str(escape_control_characters(name)) for name in names[:_NAMED])}{more})"
