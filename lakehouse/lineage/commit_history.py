"""Which commits of a table are in effect: all in its Delta log that no RESTORE has undone.

Belongs here: the audit of a commit, and RESTOREs, whoever made them.
Does not belong here: what a commit changed (`touched_days.py`), what a period was built from
(`period_history.py`).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lakehouse.publish.audit import AUDIT_KEY, Audit
from lakehouse.storage.lake import Lake
from lakehouse.storage.log import Commit

RESTORED = "restored"
"""The key of a commit's metadata under which `lakehouse restore` notes who did it and why."""

EMPTIED_BY_RESTORE = "restore"
"""The mode of an audit by which `lakehouse restore` emptied the quarantine of a table."""

_BEFORE_EVERY_LOG = -2  # below -1, after which a whole log is read: such a history is not complete


@dataclass(frozen=True)
class CommitHistory:
    """The commits of a table after a version.

    Attributes:
        effective: the commits in effect, oldest first.
        undone: the commits that a RESTORE has undone, oldest first.
        is_complete: whether no commit is missing: none was cleaned up, and no RESTORE goes back
            before the version.
    """

    effective: tuple[Commit, ...]
    undone: tuple[Commit, ...]
    is_complete: bool


def read_audit(commit: Commit) -> Audit | None:
    """Returns the audit that a commit carries; None for a commit of another program."""
    stored = commit.info.get(AUDIT_KEY)
    if not isinstance(stored, Mapping):
        return None
    # One that cannot be read must stop nobody. Its commit counts as one of another program, and the
    # files that it added and removed say what it changed.
    with suppress(ValueError):
        return Audit.from_metadata(stored, commit.version)
    return None


def changes_rows(commit: Commit) -> bool:
    """Returns whether a commit added or removed rows, rather than moved them to other files."""
    return bool(commit.data_added or commit.data_removed)


def changes_content(commit: Commit) -> bool:
    """Returns whether a reader of the whole table may see other rows than before."""
    # An unchanged table may have new files, as under another contract; its audit knows better.
    audit = read_audit(commit)
    return changes_rows(commit) and not (audit is not None and audit.is_unchanged)


def read_commit_history(
    lake: Lake, table: str, *, after: int = -1, until: int | None = None
) -> CommitHistory:
    """Returns the commits of a table after one version and up to another, the latest by default."""
    log = lake.read_log_tail(table, after=after, until=until)
    found = {commit.version: commit for commit in log.commits}
    latest = max(found, default=log.after)
    version = latest if until is None else min(until, latest)
    effective: list[Commit] = []
    # Back from the latest version, through each RESTORE to the version that it names. Forwards, a
    # RESTORE that a later one undid would still take effect.
    while version > log.after:
        commit = found[version]
        if not _is_restore(commit):
            effective.append(commit)
            version -= 1
            continue
        restored = parse_restored_version(commit.info)
        # Always further back, whatever version a broken entry names: the walk has to end.
        version = _BEFORE_EVERY_LOG if restored is None else min(restored, version - 1)
    undone = sorted(found.keys() - {commit.version for commit in effective})
    return CommitHistory(
        tuple(reversed(effective)),
        tuple(found[one] for one in undone),
        is_complete=version == log.after == after,
    )


def list_undone_commits(lake: Lake, table: str, commit: Commit) -> list[Commit] | None:
    """Returns the commits that a RESTORE undid or brought back.

    Their days are those that the RESTORE touched. Its own files name more: they also hold rows that
    were only compacted.

    Returns:
        None for any other commit, and where the log no longer reaches back to them.
    """
    if not _is_restore(commit) or (lowest := parse_restored_version(commit.info)) is None:
        return None
    while True:
        tail = lake.read_log_tail(table, after=lowest)
        between = [one for one in tail.commits if one.version < commit.version]
        targets = [parse_restored_version(one.info) for one in between if _is_restore(one)]
        if tail.after > lowest or None in targets:
            return None
        lower = min([lowest, *(version for version in targets if version is not None)])
        if lower == lowest:
            return [one for one in between if not _is_restore(one)]
        lowest = lower  # an earlier RESTORE went back further, so its commits count as well


def parse_restored_version(info: Mapping[str, Any]) -> int | None:
    """Returns the version that a RESTORE went back to; None where the commit names a time."""
    parameters = info.get("operationParameters")
    version = parameters.get("version") if isinstance(parameters, Mapping) else None
    return int(str(version)) if str(version).isdigit() else None


def read_restored_rejects(commit: Commit, table: str) -> int | None:
    """Returns the version that `lakehouse restore` brought the rejected rows of a table back to.

    Args:
        commit: a commit of the quarantine of the table.
        table: the table.

    Returns:
        -1 where there was no quarantine at that time; None for any other commit.
    """
    note = commit.info.get(RESTORED)
    if isinstance(note, Mapping) and note.get("with") == table:
        version = note.get("version")
        return version if isinstance(version, int) else None
    audit = read_audit(commit)
    return -1 if audit is not None and audit.mode == EMPTIED_BY_RESTORE else None


def _is_restore(commit: Commit) -> bool:
    return bool(commit.info.get("operation") == "RESTORE")
