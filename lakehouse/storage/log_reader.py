"""Several entries of a table's log, wherever they stand: in the log, or in its archive.

Belongs here: reading them. Does not belong here: what an entry is (`log.py`), moving them there and back
(`archive.py`), and which of them a caller relies on (`lake.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from obstore.store import ObjectStore

from lakehouse.storage.log import ENTRY, Commit, list_versions, parse_entry, read_entry
from lakehouse.storage.log_archive import Each, read_archived

_FEW = 50


@dataclass(frozen=True)
class LogReader:
    """The entries of a table.

    Attributes:
        store: the object store at the root of the lake.
        table: its name.
        each: asks for many of them; see `Lake.each`.
    """

    store: ObjectStore
    table: str
    each: Each

    def of(self, asked: range) -> dict[int, Commit]:
        """Those of some versions that have not been cleaned up, oldest first.

        Few are asked for by their numbers: to list the log of a folder is to look at every entry that there is.
        """
        if len(asked) <= _FEW:
            return self._read(asked, asked)
        return self._read(
            [version for version in self._standing(asked.start - 1) if version in asked], asked
        )

    def left(self, after: int) -> list[Commit]:
        """Those after a version that have not been cleaned up, oldest first."""
        found = self._standing(after)
        return list(self._read(found, range(after + 1, max(found, default=after) + 1)).values())

    def _standing(self, after: int) -> list[int]:
        """The versions after one of which an entry stands in the log."""
        return [
            version
            for version in list_versions(self.store, self.table, ENTRY, after=after)
            if version > after
        ]

    def _read(self, there: Sequence[int], asked: Sequence[int]) -> dict[int, Commit]:
        """The entries of some versions: from the log, and what is not there by now from the archive."""
        texts = self.each(partial(read_entry, self.store, self.table), there)
        found = {
            version: text for version, text in zip(there, texts, strict=True) if text is not None
        }
        if missing := [version for version in asked if version not in found]:
            found |= read_archived(self.store, self.table, missing)
        return {version: parse_entry(version, found[version]) for version in sorted(found)}
