"""One commit to a table, and whether it stands: answers get lost on the way, and other writers are faster.

Belongs here: telling the outcomes of a commit apart. Does not belong here: what is committed (`draft.py`).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import obstore
from deltalake import CommitProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, PostCommitHookProperties, create_table_with_add_actions

from lakehouse.errors import BusyError, SetupError
from lakehouse.publish.request import Sheet
from lakehouse.storage import log_archive
from lakehouse.storage.handle_cache import report_stale_handle
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import describe_store_error
from lakehouse.storage.revision import Revision, log_position

# What each period was made from is told by the audits in the log: delta-rs cleans up none, `archive.py` keeps it short.
# Opening a table reads all entries after the last checkpoint, 0.3 ms each on a local disk.
_RETENTION = "interval 3650 days"
_log = logging.getLogger(__name__)

POST_COMMIT_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
"""What follows a commit. To look for expired entries lists the whole log: 50 ms of each commit after 5,000 of them."""

COMMIT_ID = "commit_id"
"""The key of a commit's metadata under which a writer finds its own commit again."""


def commit_once(
    lake: Lake,
    table: str,
    base: Revision | None,
    properties: CommitProperties,
    attempt: Callable[[], object],
) -> int:
    """Commit; gives the version that carries the mark of these properties.

    Args:
        lake: where the table is.
        table: its name.
        base: the revision that was read; None when there was no table.
        properties: those of the commit, with a mark of its own.
        attempt: makes the commit.

    Raises:
        BusyError: another writer was faster, and the commit does not stand.
        OutageError: the store did not answer, and the commit may stand.
    """
    try:
        with (
            lake.translate_errors(),
            report_stale_handle(table),
            lake.lock_for_commit(table, base),
        ):
            attempt()
    except (DeltaError, BusyError) as error:
        # The answer may have been lost, and a client that asks again then meets its own commit as that of another.
        version = _own(lake, table, base, properties)
        if version is not None:
            return version
        if isinstance(error, CommitFailedError):
            raise BusyError(
                f"{table}: another writer committed first.\nNext: run again. ({error})"
            ) from error
        if isinstance(error, DeltaError) and "already exists" in str(error):
            raise BusyError(
                f"{table}: another writer made the table first.\nNext: run again."
            ) from error
        raise
    own = _own(lake, table, base, properties)
    return (lake.version(table) or 0) if own is None else own


def shorten_log(lake: Lake, table: str, version: int) -> None:
    """Archive old log entries after a commit, see `archive.shorten`; the commit stands, whatever comes of it."""
    try:
        log_archive.archive_old_entries(lake.store, table, version, lake.each)
    except (OSError, SetupError, obstore.exceptions.BaseError) as error:
        _log.warning(
            "%s: old log entries stay in the log for now: %s",
            table,
            describe_store_error(error, lake.options),
        )


def create_table(
    lake: Lake, sheet: Sheet, schema: Schema, added: list[AddAction], properties: CommitProperties
) -> None:
    """The commit that makes a table of a sheet's files; for its errors see `committed`."""
    create_table_with_add_actions(
        lake.uri(sheet.table),
        schema,
        added,
        partition_by=[sheet.partition] if sheet.partition else [],
        name=sheet.table,
        configuration={
            "delta.logRetentionDuration": _RETENTION,
            "delta.checkpointInterval": str(log_archive.CHECKPOINT_INTERVAL),
        },
        description=sheet.description,
        storage_options=dict(lake.options) or None,
        commit_properties=properties,
    )


def _own(lake: Lake, table: str, base: Revision | None, properties: CommitProperties) -> int | None:
    """The version that carries the mark of a commit; None if none does."""
    told: Mapping[str, Any] = properties.custom_metadata or {}
    since = lake.follow_log(table, after=log_position(base))
    return next(
        (commit.version for commit in since if commit.info.get(COMMIT_ID) == told.get(COMMIT_ID)),
        None,
    )
