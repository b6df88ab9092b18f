"""Entries of a table's Delta log, as they are read.

Belongs here: what an entry is and where it lies. Does not belong here: reading several (`entries.py`), where old ones
are kept (`archive.py`), and what they mean (`touched.py`, `made.py`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import obstore
from obstore.store import ObjectStore

ENTRY = re.compile(r"_delta_log/(\d{20})\.json$")
CHECKPOINT = re.compile(r"_delta_log/(\d{20})\.checkpoint\.parquet$")
"""What the paths of entries and of checkpoints of one file look like, and their version."""

MOVED = "moved"
"""The key of a commit's metadata that names the files whose rows only moved, `added` and `removed`.

Their actions say that data changed, though it did not: delta-rs lets a compaction that began before pass a commit that
says it did not, and the rows would stand twice.
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
        """The files that brought rows, rather than took them over from others."""
        return self._changing("added")

    @cached_property
    def data_removed(self) -> tuple[Mapping[str, Any], ...]:
        """The files that took rows away with them."""
        return self._changing("removed")

    def _changing(self, side: str) -> tuple[Mapping[str, Any], ...]:
        moved = frozenset((self.info.get(MOVED) or {}).get(side, ()))
        actions = self.added if side == "added" else self.removed
        return tuple(
            one for one in actions if one.get("dataChange", True) and one["path"] not in moved
        )


@dataclass(frozen=True)
class LogTail:
    """The entries of a table's log that follow each other without a gap up to the latest.

    Attributes:
        after: the version after which none is missing.
        commits: the entries, oldest first.
    """

    after: int
    commits: tuple[Commit, ...] = ()


def locate_entry(table: str, version: int) -> str:
    """Where an entry lies, below the root of the lake."""
    return f"{table}/_delta_log/{version:020}.json"


def list_versions(
    store: ObjectStore, table: str, kind: re.Pattern[str], *, after: int = -1
) -> list[int]:
    """The versions of which an entry, or a checkpoint, stands in the log of a table, in order.

    Args:
        store: the object store at the root of the lake.
        table: its name.
        kind: `ENTRY` or `CHECKPOINT`.
        after: a version before which nothing is asked for; a hint to the store.
    """
    offset = f"{table}/_delta_log/{max(after, 0):020}"
    paths = (
        str(meta["path"])
        for page in obstore.list(store, prefix=f"{table}/_delta_log", offset=offset)
        for meta in page
    )
    return sorted(int(found[1]) for path in paths if (found := kind.search(path)))


def read_entry(store: ObjectStore, table: str, version: int) -> bytes | None:
    """An entry as it stands in the log; None where it does not."""
    try:
        return bytes(obstore.get(store, locate_entry(table, version)).bytes())
    except FileNotFoundError:
        return None


def parse_entry(version: int, text: bytes) -> Commit:
    """An entry from its text."""
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]

    def of(kind: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(action[kind] for action in actions if kind in action)

    return Commit(version, (of("commitInfo") or ({},))[0], of("add"), of("remove"))
