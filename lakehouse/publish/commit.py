"""One commit to a table, and whether it is in the log: answers get lost, and others are faster.

Belongs here: the outcomes of a commit. Does not belong here: what is committed (`table_commit.py`).
"""

import logging
from collections.abc import Callable
from typing import Any

import obstore
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, PostCommitHookProperties, create_table_with_add_actions

from lakehouse.errors import BusyError, OutageError, SetupError
from lakehouse.publish.write_plan import WritePlan
from lakehouse.storage.handle_cache import report_stale_handle
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import describe_store_error
from lakehouse.storage.revision import Revision, log_position
from lakehouse.storage.write_guards import lock_for_commit

# The audits in the log are the only record of the inputs of each period. So delta-rs must
# clean up no entry, and `log_archive.py` keeps the log short: opening a table reads all entries
# after the last checkpoint, 0.3 ms each.
_RETENTION = "interval 3650 days"
_log = logging.getLogger(__name__)

POST_COMMIT_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
"""What follows a commit.

Looking for expired entries lists the whole log: 50 ms of each commit after 5,000 of them.
"""

COMMIT_ID = "commit_id"
"""The key of a commit's metadata by which a writer finds its own commit again."""


def commit_once(
    lake: Lake,
    table: str,
    base: Revision | None,
    properties: CommitProperties,
    attempt: Callable[[], object],
) -> int:
    """Makes a commit; returns the version that carries its id.

    Args:
        lake: where the table is.
        table: its name.
        base: the revision that was read; None when there was no table.
        properties: those of the commit, with a commit id of its own.
        attempt: makes the commit.

    Raises:
        BusyError: another writer was faster, and the commit is not in the log.
        OutageError: the store did not answer, and the commit may be in the log.
    """
    try:
        # Where a bucket has no put-if-absent, the processes of its one machine commit in turn.
        with (
            lake.translate_errors(),
            report_stale_handle(table),
            lock_for_commit(lake, table, base),
        ):
            attempt()
    except (DeltaError, BusyError) as error:
        # The answer may have been lost: a client that asks again then meets its own commit and
        # takes it for that of another.
        version = _find_commit(lake, table, base, properties)
        if version is not None:
            return version
        if isinstance(error, CommitFailedError):
            raise BusyError(
                f"{table}: another writer committed first.\nNext: run again. ({error})"
            ) from error
        # delta-rs has no error class of its own for this; only the text tells.
        if isinstance(error, DeltaError) and "already exists" in str(error):
            raise BusyError(
                f"{table}: another writer created the table first.\nNext: run again."
            ) from error
        raise
    # delta-rs may have moved the commit on top of others, so its version is looked up.
    version = _find_commit(lake, table, base, properties)
    if version is None:
        raise _lost_commit(table)
    return version


def _lost_commit(table: str) -> OutageError:
    # An outage, because the commit was made: its files must stay.
    return OutageError(
        f"{table}: the commit was made, but it is not in the log any more: another program has "
        "removed the table or its log entries.\nNext: stop that program, then run again."
    )


def _find_commit(
    lake: Lake, table: str, base: Revision | None, properties: CommitProperties
) -> int | None:
    """Returns the version that carries the commit id of these properties; None if none does."""
    metadata: dict[str, Any] = properties.custom_metadata or {}
    own, after = metadata.get(COMMIT_ID), log_position(base)
    # A commit without an id is nobody's: two missing ids are not the same one.
    if own is None:
        return None
    for commit in lake.follow_log(table, after=after):
        if commit.info.get(COMMIT_ID) == own:
            return commit.version
        after = commit.version
    # Entries in between may have been cleaned up, which ends the walk before this commit.
    if (lake.version(table) or 0) > after:
        for commit in lake.read_remaining_log(table, after=after):
            if commit.info.get(COMMIT_ID) == own:
                return commit.version
    return None


def create_table(
    lake: Lake, plan: WritePlan, files: list[AddAction], properties: CommitProperties
) -> None:
    """Creates a table with its first files in one commit; for its errors see `commit_once`."""
    create_table_with_add_actions(
        lake.uri(plan.table),
        plan.schema,
        files,
        partition_by=[plan.partition_column] if plan.partition_column else [],
        name=plan.table,
        configuration={
            "delta.logRetentionDuration": _RETENTION,
            "delta.checkpointInterval": str(lake.limits.commits_per_checkpoint),
        },
        description=plan.request.info.description,
        storage_options=dict(lake.options) or None,
        commit_properties=properties,
    )


def shorten_log(lake: Lake, table: str, version: int) -> None:
    """Archives old log entries after a commit; a failure is only a warning: the commit is made."""
    try:
        lake.log_archive(table).archive_old_entries(version)
    except (OSError, SetupError, obstore.exceptions.BaseError) as error:
        reason = describe_store_error(error, lake.options)
        _log.warning("%s: old log entries stay in the log for now: %s", table, reason)
