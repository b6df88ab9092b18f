"""Reading several entries of a table's log, whether they are in the log or in its archive.

Does not belong here: what an entry is (`log.py`), moving entries to the archive and back
(`log_archive.py`), and which entries a caller relies on (`lake.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lakehouse.storage.log import ENTRY, Commit, list_versions, parse_entry, read_entry
from lakehouse.storage.log_archive import LogArchive
from lakehouse.storage.object_store import fetch_all

_FEW = 50  # entries. Asking for so many costs less than listing a log of 500 to 1,000


@dataclass(frozen=True)
class LogReader:
    """Reads the log of one table.

    Attributes:
        archive: the archive of the log.
    """

    archive: LogArchive

    def read(self, versions: range) -> dict[int, Commit]:
        """Reads the entries of some versions that have not been cleaned up, oldest first."""
        if len(versions) <= _FEW:
            return self._read(versions, versions)
        in_log = [one for one in self._list_after(versions.start - 1) if one in versions]
        return self._read(in_log, versions)

    def read_remaining(self, after: int) -> list[Commit]:
        """Reads all entries after a version that have not been cleaned up, oldest first."""
        # The latest entries are never archived, so no wanted version is later than the log's last.
        in_log = self._list_after(after)
        wanted = range(after + 1, max(in_log, default=after) + 1)
        return list(self._read(in_log, wanted).values())

    def _list_after(self, after: int) -> list[int]:
        """Returns the versions after one that have an entry in the log."""
        versions = list_versions(self.archive.store, self.archive.table, ENTRY, after=after)
        return [version for version in versions if version > after]

    def _read(self, in_log: Sequence[int], wanted: Sequence[int]) -> dict[int, Commit]:
        """Reads entries from the log, and those that are not there any more from the archive."""
        read = partial(read_entry, self.archive.store, self.archive.table)
        texts = fetch_all(read, in_log, self.archive.requests_at_once)
        found = {
            version: text
            for version, text in zip(in_log, texts, strict=True)
            if text is not None  # it was archived since the log was listed
        }
        if missing := [version for version in wanted if version not in found]:
            found |= self.archive.read(missing)
        return {version: parse_entry(version, found[version]) for version in sorted(found)}
