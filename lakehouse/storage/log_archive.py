"""The archive of a table's log: old entries, many in one file. No entry is thrown away.

The audits in the log are the only record of what each period was made from, so they are kept for
ever. But Delta's clients list a whole log each time they open its table or commit to it, and to
read a whole log is to request every entry. So old entries are moved to `_delta_log/_archive`, byte
for byte, and are put back into the log when somebody opens a version that needs them.

Does not belong here: what an entry says (`log.py`), and reading entries wherever they are
(`log_reader.py`).
"""

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import obstore
import polars as pl
from obstore.store import ObjectStore

from lakehouse.errors import SetupError, summarize_error
from lakehouse.failpoints import failpoint
from lakehouse.storage.log import CHECKPOINT, ENTRY, list_versions, locate_entry, read_entry
from lakehouse.storage.object_store import fetch_all


@dataclass(frozen=True)
class LogArchive:
    """The archive of one table's log.

    Attributes:
        store: the object store at the root of the lake.
        table: its name.
        entries_per_file: versions in a file of the archive, a multiple of `checkpoint_interval`. At
            least so many stay in the log, and hardly more than twice as many.
        checkpoint_interval: commits after which delta-rs writes a checkpoint: with 10, versions 9,
            19 and so on have one.
        requests_at_once: how many entries are asked for at a time.
    """

    store: ObjectStore
    table: str
    entries_per_file: int
    checkpoint_interval: int
    requests_at_once: int

    def read(self, versions: Iterable[int]) -> dict[int, bytes]:
        """Reads those of some entries that are in the archive, as they were in the log."""
        wanted = set(versions)
        found: dict[int, bytes] = {}
        for first in self._list_files(wanted):
            found |= self._read_file(first)
        return {version: found[version] for version in sorted(found.keys() & wanted)}

    def archive_old_entries(self, version: int) -> None:
        """Moves all entries but the last ones into the archive.

        An entry leaves the log when it is in the archive, and only if what stays in the log begins
        with a checkpoint. A process that is killed in between leaves entries in both places, for
        a later one to remove.

        Args:
            version: the version that was just committed.
        """
        # With 500 entries a file, version 999 moves entries 0 to 499.
        count = version + 1
        kept_from = (count // self.entries_per_file - 1) * self.entries_per_file
        # No request for a commit without a checkpoint, nor in a young log.
        if count % self.checkpoint_interval or kept_from <= 0:
            return
        # Without this checkpoint, what stays of the log could not be opened.
        if not self._exists(self._locate_checkpoint(kept_from - 1)):
            return
        # Between two files of the archive, there is work only if an earlier process was killed.
        if count % self.entries_per_file and not self._exists(self._locate_entry(kept_from - 1)):
            return
        entries, checkpoints = self._list_log()
        old = [one for one in entries if one < kept_from]
        # All copies come before the first deletion: no entry is ever in neither place.
        for first in self._list_files(old):
            self._copy_to_file(first, old)
            failpoint("archive: entries written")
        self._shorten(old, [one for one in checkpoints[1:] if one < kept_from])

    def restore_entries(self, version: int) -> bool:
        """Puts the entries that a version needs back into the log; returns whether it had any."""
        entries, checkpoints = self._list_log()
        begin = max((one for one in checkpoints if one <= version), default=0)
        # Not beyond the latest version: the archive of a deleted table must not continue the log of
        # another one that took its place.
        latest = max((*entries, *checkpoints), default=-1)
        # From the checkpoint on: what is before it is not needed to open the version.
        found = self.read(range(begin, min(version, latest) + 1))
        for one, text in found.items():
            with suppress(obstore.exceptions.AlreadyExistsError):
                obstore.put(self.store, self._locate_entry(one), text, mode="create")
        return bool(found)

    def _list_log(self) -> tuple[list[int], list[int]]:
        """Returns the versions of the entries, and of the checkpoints, that are in the log."""
        entries = list_versions(self.store, self.table, ENTRY)
        return entries, list_versions(self.store, self.table, CHECKPOINT)

    def _list_files(self, versions: Iterable[int]) -> list[int]:
        """Returns the first version of each file of the archive to which some versions belong."""
        size = self.entries_per_file
        return sorted({version // size * size for version in versions})

    def _copy_to_file(self, first: int, versions: Iterable[int]) -> None:
        """Copies into a file of the archive those of some entries that belong to it."""
        some = [one for one in versions if first <= one < first + self.entries_per_file]
        read = partial(read_entry, self.store, self.table)
        texts = fetch_all(read, some, self.requests_at_once)
        found = {
            one: text
            for one, text in zip(some, texts, strict=True)
            if text is not None  # another process has archived it meanwhile
        }
        self._write_file(first, found)

    def _shorten(self, entries: list[int], checkpoints: list[int]) -> None:
        """Deletes entries that are in the archive from the log, and checkpoints that nobody needs.

        One checkpoint stays for each file of the archive, so that its entries can be put back after
        it; and so does the checkpoint with which a log begins.
        """
        needless = [one for one in checkpoints if (one + 1) % self.entries_per_file]
        paths = [self._locate_entry(one) for one in entries]
        between = [*map(self._locate_checkpoint, needless), *paths[1:-1]]
        # The order matters. The first entry goes after those that follow it: as long as it is
        # there, a gap is an error, and without it a reader would begin at a RESTORE. The last entry
        # goes last: as long as it is there, the next commits look again.
        with suppress(FileNotFoundError):  # another process is deleting them
            for step in (between, paths[:1], paths[1:][-1:]):
                obstore.delete(self.store, step)
                failpoint("archive: log shortened")

    def _read_file(self, first: int) -> dict[int, bytes]:
        """Reads the entries in a file of the archive, by version; none where there is no such file.

        Raises:
            SetupError: the file is damaged.
        """
        path = self._locate_file(first)
        try:
            content = bytes(obstore.get(self.store, path).bytes())
        except FileNotFoundError:
            return {}
        try:
            rows = pl.read_parquet(io.BytesIO(content)).select("version", "entry")
            return dict(rows.sort("version").iter_rows())
        except pl.exceptions.PolarsError as error:
            raise SetupError(
                f"{self.table}: old log entries cannot be read, because {path} is damaged: "
                f"{summarize_error(error)}\n"
                "Next: restore that file from a copy of the lake, or remove it; the table's log "
                "then counts as cleaned up."
            ) from None

    def _write_file(self, first: int, entries: Mapping[int, bytes]) -> None:
        """Adds entries to a file of the archive.

        A file that holds other texts under the same versions is of a table that was deleted, and is
        replaced.
        """
        # Read after the entries were fetched: what was gone from the log by then is in this file.
        known = self._read_file(first)
        is_of_another = any(known.get(version, text) != text for version, text in entries.items())
        if entries.keys() <= known.keys() and not is_of_another:
            return
        kept = {} if is_of_another else known
        together = dict(sorted({**kept, **entries}.items()))
        rows = pl.DataFrame({"version": list(together), "entry": list(together.values())})
        content = io.BytesIO()
        typed = rows.cast({"version": pl.Int64, "entry": pl.Binary})
        typed.write_parquet(content, compression="zstd")
        # A put replaces the file as a whole, in a folder as well: a kill leaves the old one.
        obstore.put(self.store, self._locate_file(first), content.getvalue())

    def _locate_file(self, first: int) -> str:
        return f"{self.table}/_delta_log/_archive/entries-{first:020}.parquet"

    def _locate_checkpoint(self, version: int) -> str:
        return f"{self.table}/_delta_log/{version:020}.checkpoint.parquet"

    def _locate_entry(self, version: int) -> str:
        return locate_entry(self.table, version)

    def _exists(self, path: str) -> bool:
        try:
            obstore.head(self.store, path)
        except FileNotFoundError:
            return False
        return True
