"""Entries of a table's Delta log.

Belongs here: what an entry is, where it is, and reading one. Does not belong here: reading
several (`log_reader.py`), where old ones are kept (`log_archive.py`), and what they mean
(`lineage`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import obstore
from obstore.store import ObjectStore

ENTRY = re.compile(r"_delta_log/(\d{20})\.json$")
"""The path of an entry; its group is the version."""

# Checkpoints in several parts, and those named by a UUID, are other writers' and do not match.
CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint\.parquet$")
"""The path of a checkpoint in one file; its group is the version."""

MOVED = "moved"
"""The key of a commit's metadata that names the files whose rows only moved, `added` and `removed`.

Their actions say that data changed, though it did not. If they said otherwise, delta-rs would let a
compaction that began earlier commit as well, and the rows would be in the table twice.
"""


@dataclass(frozen=True)
class Commit:
    """One entry of a table's log.

    Attributes:
        version: the version of the table that it made.
        info: operation, timestamp and custom metadata, the audit among them.
        added: the add actions, as Delta writes them.
        removed: the remove actions.
    """

    version: int
    info: Mapping[str, Any]
    added: tuple[Mapping[str, Any], ...]
    removed: tuple[Mapping[str, Any], ...]

    @cached_property
    def data_added(self) -> tuple[Mapping[str, Any], ...]:
        """The add actions of files whose rows are new, and did not only move."""
        return self._without_moves("added")

    @cached_property
    def data_removed(self) -> tuple[Mapping[str, Any], ...]:
        """The remove actions of files whose rows were removed, and did not only move."""
        return self._without_moves("removed")

    def _without_moves(self, side: str) -> tuple[Mapping[str, Any], ...]:
        # A compaction by delta-rs itself says that no data changed. A missing
        # `dataChange` counts as true.
        moved = frozenset((self.info.get(MOVED) or {}).get(side, ()))
        actions = self.added if side == "added" else self.removed
        return tuple(
            action
            for action in actions
            if action.get("dataChange", True) and action["path"] not in moved
        )


@dataclass(frozen=True)
class LogTail:
    """The entries at the end of a table's log, without a gap.

    Attributes:
        after: the version before the first of them.
        commits: the entries, oldest first.
    """

    after: int
    commits: tuple[Commit, ...] = ()


def locate_entry(table: str, version: int) -> str:
    """Returns the path of an entry below the root of the lake."""
    return f"{table}/_delta_log/{version:020}.json"


def list_versions(
    store: ObjectStore, table: str, kind: re.Pattern[str], *, after: int = -1
) -> list[int]:
    """Returns the versions that have an entry or a checkpoint in the log of a table, in order.

    Args:
        store: the object store at the root of the lake.
        table: its name.
        kind: `ENTRY` or `CHECKPOINT`.
        after: a hint to the store that no version before this one is wanted.
    """
    # Twenty digits: the order of names is that of versions. The entry of `after` itself is listed
    # too, for its name goes on with `.json`; and so is everything that begins with `_`.
    offset = f"{table}/_delta_log/{max(after, 0):020}"
    pages = obstore.list(store, prefix=f"{table}/_delta_log", offset=offset)
    paths = (str(meta["path"]) for page in pages for meta in page)
    return sorted(int(found[1]) for path in paths if (found := kind.search(path)))


def read_entry(store: ObjectStore, table: str, version: int) -> bytes | None:
    """Reads the text of an entry in the log; None where there is none."""
    try:
        return bytes(obstore.get(store, locate_entry(table, version)).bytes())
    except FileNotFoundError:
        return None


def parse_entry(version: int, text: bytes) -> Commit:
    """Parses the text of an entry."""
    return (_parse_small if len(text) <= _SMALL else _parse)(version, text)


def _parse(version: int, text: bytes) -> Commit:
    # Bytes are split at line ends alone; a text would also be split at U+2028 within a value.
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]

    def select(kind: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(action[kind] for action in actions if kind in action)

    # Delta does not ask a writer for a `commitInfo`.
    info = (select("commitInfo") or ({},))[0]
    return Commit(version, info, select("add"), select("remove"))


_SMALL = 32 * 1024
_parse_small = lru_cache(256)(_parse)
"""One increment reads the same latest entries of a log several times. At most 8 MiB are kept."""
