"""Open tables, kept as long as nobody has committed: to look for the next log entry is cheaper than to open anew.

Opening a table reads its last checkpoint and all log entries after that, which grows with the table. A handle that is
kept is shared. To commit files through it leaves it where it is; for what moves it see `Lake.open_to_move`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import obstore
from deltalake import DeltaTable
from obstore.store import ObjectStore


@dataclass(frozen=True)
class _Kept:
    handle: DeltaTable
    version: int
    entry: tuple[object, ...]


@dataclass(frozen=True)
class Handles:
    """The latest known handle of each table."""

    _kept: dict[str, _Kept] = field(default_factory=dict)

    def latest(self, store: ObjectStore, table: str, opened: Callable[[], DeltaTable]) -> DeltaTable:
        """The table as it is now; `opened` opens it anew where it is no longer what it was."""
        kept = self._kept.get(table)
        if kept is not None and _is_latest(store, table, kept):
            return kept.handle
        self._kept.pop(table, None)
        handle = opened()
        if (entry := _entry(store, table, handle.version())) is not None:
            self._kept[table] = _Kept(handle, handle.version(), entry)
        return handle

    def at(self, store: ObjectStore, table: str, version: int) -> DeltaTable | None:
        """The table at a version, if that is what is kept."""
        kept = self._kept.get(table)
        is_it = kept is not None and kept.version == version and _entry(store, table, version) == kept.entry
        return kept.handle if kept is not None and is_it and kept.handle.version() == version else None


def _is_latest(store: ObjectStore, table: str, kept: _Kept) -> bool:
    """Whether no entry follows, and the last one is still the same: a table may go and come again under its name."""
    return (
        kept.handle.version() == kept.version
        and _entry(store, table, kept.version + 1) is None
        and _entry(store, table, kept.version) == kept.entry
    )


def _entry(store: ObjectStore, table: str, version: int) -> tuple[object, ...] | None:
    """What tells one log entry from another of the same version; None if it is not there."""
    try:
        found = obstore.head(store, f"{table}/_delta_log/{version:020}.json")
    except FileNotFoundError:
        return None
    return found["e_tag"], found["last_modified"], found["size"]
