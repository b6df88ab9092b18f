"""Removing a table for good, log and data; the caller has asked whoever owns it."""

import shutil
from glob import escape
from pathlib import Path
from uuid import uuid4

import obstore

from lakehouse.storage.disk_full import report_full_disk
from lakehouse.storage.lake import Lake, check_name


def remove_table(lake: Lake, table: str) -> None:
    """Removes a table with all of its versions; does nothing if there is no such table.

    Raises:
        OutageError: the store does not answer; a repeated call removes the rest.
        SetupError: the lake cannot be written.
    """
    check_name(table)
    with lake.translate_errors(), report_full_disk(lake.root):
        if lake.is_local:
            _remove_folder(Path(lake.uri(table)))
        else:
            _remove_objects(lake, table)


def _remove_folder(folder: Path) -> None:
    # Under a name that no table has, so that nobody sees half a table.
    if folder.exists():
        folder.rename(folder.with_name(f".{folder.name}-removed-{uuid4().hex[:8]}"))
    # With what an earlier call left that was killed.
    for removed in folder.parent.glob(f".{escape(folder.name)}-removed-*"):
        shutil.rmtree(removed)


def _remove_objects(lake: Lake, table: str) -> None:
    paths = [str(meta["path"]) for part in obstore.list(lake.store, f"{table}/") for meta in part]
    # The log first, its latest entries before the older ones: what is left of it is an earlier
    # version until nothing is. Data files that no log names are seen by nobody.
    log = sorted((path for path in paths if "/_delta_log/" in path), reverse=True)
    for path in log:
        obstore.delete(lake.store, path)
    obstore.delete(lake.store, sorted(set(paths) - set(log)))
