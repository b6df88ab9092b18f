"""Entries of a table's Delta log, as they are read.

Belongs here: what an entry is and where it lies. Does not belong here: reading several (`lake.py`), and what they mean
(`touched.py`, `made.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class LogTail:
    """The entries of a table's log that follow each other without a gap up to the latest.

    Attributes:
        after: the version after which none is missing.
        commits: the entries, oldest first.
    """

    after: int
    commits: tuple[Commit, ...] = ()


def entry_path(table: str, version: int) -> str:
    """Where an entry lies, below the root of the lake."""
    return f"{table}/_delta_log/{version:020}.json"


def parsed(version: int, text: bytes) -> Commit:
    """An entry from its text."""
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]

    def of(kind: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(action[kind] for action in actions if kind in action)

    return Commit(version, (of("commitInfo") or ({},))[0], of("add"), of("remove"))
