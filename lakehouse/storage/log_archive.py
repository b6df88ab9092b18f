"""Old log entries of a table, many in a file: none is thrown away, and the log stays short.

What each period was made from is told by the audits in the log, for ever. But Delta's clients list the whole log of a
folder for each look and each commit, and whoever reads all of a log asks for one entry after another. So the entries
before the last ones stand in `_delta_log/_archive`, each byte for byte, five hundred in a file; and they are put back
where somebody opens a version that needs them.

Belongs here: moving entries there and back, and reading them there. Does not belong here: what an entry says
(`log.py`), and reading entries wherever they are (`entries.py`).
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import obstore
import polars as pl
from obstore.store import ObjectStore

from lakehouse.errors import SetupError, summarize_error
from lakehouse.failpoints import failpoint
from lakehouse.storage.log import CHECKPOINT, ENTRY, list_versions, locate_entry, read_entry

ENTRIES_PER_FILE = 500
"""Versions in a file of the archive. So many at least stay in the log, and hardly more than twice as many."""

CHECKPOINT_INTERVAL = 10
"""Commits after which delta-rs writes a checkpoint: with versions 9, 19, …; a part of `ENTRIES_PER_FILE`."""

Each = Callable[[Callable[[int], bytes | None], Sequence[int]], list[bytes | None]]
"""Asks for something of many versions; see `Lake.each`."""


def read_archived(store: ObjectStore, table: str, versions: Iterable[int]) -> dict[int, bytes]:
    """Those of some entries of a table that are in its archive, as they stood in the log."""
    wanted = set(versions)
    found = {
        one: text for first in _files(wanted) for one, text in _read(store, table, first).items()
    }
    return {version: found[version] for version in sorted(found.keys() & wanted)}


def archive_old_entries(store: ObjectStore, table: str, version: int, each: Each) -> None:
    """Move the entries of a table into its archive that are not among the last ones.

    An entry leaves the log when it stands in the archive, and only where a checkpoint begins what stays. Who is killed
    in between leaves entries in both places, for the next time.

    Args:
        store: the object store at the root of the lake.
        table: its name.
        version: the version that was just committed.
        each: asks for many entries.
    """
    count = version + 1
    kept_from = (count // ENTRIES_PER_FILE - 1) * ENTRIES_PER_FILE
    if (
        count % CHECKPOINT_INTERVAL
        or kept_from <= 0
        or not _is_there(store, _checkpoint_path(table, kept_from - 1))
    ):
        return
    if count % ENTRIES_PER_FILE and not _is_there(store, locate_entry(table, kept_from - 1)):
        return
    entries, checkpoints = (list_versions(store, table, kind) for kind in (ENTRY, CHECKPOINT))
    old = [one for one in entries if one < kept_from]
    for first in _files(old):
        some = [one for one in old if first <= one < first + ENTRIES_PER_FILE]
        texts = each(lambda one: read_entry(store, table, one), some)
        _write(
            store,
            table,
            first,
            {one: text for one, text in zip(some, texts, strict=True) if text is not None},
        )
        failpoint("archive: entries written")
    # Each file of the archive keeps the checkpoint on which it goes on; and so does a log that begins with one.
    needless = [one for one in checkpoints[1:] if one < kept_from and (one + 1) % ENTRIES_PER_FILE]
    paths = [locate_entry(table, one) for one in old]
    between = [*(_checkpoint_path(table, one) for one in needless), *paths[1:-1]]
    # The first entry goes after those that follow it: where it is there, a gap is an error; where nothing is, a reader
    # may begin at a RESTORE. The last one goes last: while it is there, the next commits look again.
    with suppress(FileNotFoundError):  # another process is at it
        for going in (between, paths[:1], paths[1:][-1:]):
            obstore.delete(store, going)
            failpoint("archive: log shortened")


def restore_entries(store: ObjectStore, table: str, version: int) -> bool:
    """Put the entries that a version of a table needs back into its log; whether there were any in the archive."""
    entries, checkpoints = (list_versions(store, table, kind) for kind in (ENTRY, CHECKPOINT))
    begins = max((one for one in checkpoints if one <= version), default=0)
    # None after the latest: an archive that outlived its table must not go on with another one.
    latest = max((*entries, *checkpoints), default=-1)
    found = read_archived(store, table, range(begins, min(version, latest) + 1))
    for one, text in found.items():
        with suppress(obstore.exceptions.AlreadyExistsError):
            obstore.put(store, locate_entry(table, one), text, mode="create")
    return bool(found)


def _files(versions: Iterable[int]) -> list[int]:
    """The first versions of the files of the archive in which some versions belong."""
    return sorted({version // ENTRIES_PER_FILE * ENTRIES_PER_FILE for version in versions})


def _path(table: str, first: int) -> str:
    return f"{table}/_delta_log/_archive/entries-{first:020}.parquet"


def _checkpoint_path(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020}.checkpoint.parquet"


def _is_there(store: ObjectStore, path: str) -> bool:
    try:
        obstore.head(store, path)
    except FileNotFoundError:
        return False
    return True


def _read(store: ObjectStore, table: str, first: int) -> dict[int, bytes]:
    """The entries in a file of the archive, by version; none where there is no such file.

    Raises:
        SetupError: the file is not what was written.
    """
    try:
        held = bytes(obstore.get(store, _path(table, first)).bytes())
    except FileNotFoundError:
        return {}
    try:
        return dict(
            pl.read_parquet(io.BytesIO(held)).select("version", "entry").sort("version").iter_rows()
        )
    except pl.exceptions.PolarsError as error:
        raise SetupError(
            f"{table}: old log entries cannot be read, {_path(table, first)} is damaged: {summarize_error(error)}\n"
            "Next: put that file back from a copy of the lake; or take it away, and the table's log counts as one that "
            "was cleaned up."
        ) from None


def _write(store: ObjectStore, table: str, first: int, entries: Mapping[int, bytes]) -> None:
    """Add entries to a file of the archive; one that holds others under their versions is of a table that is gone."""
    known = _read(store, table, first)
    is_of_another = any(known.get(version, text) != text for version, text in entries.items())
    if entries.keys() <= known.keys() and not is_of_another:
        return
    together = dict(sorted({**({} if is_of_another else known), **entries}.items()))
    rows = pl.DataFrame({"version": list(together), "entry": list(together.values())})
    held = io.BytesIO()
    rows.cast({"version": pl.Int64, "entry": pl.Binary}).write_parquet(held, compression="zstd")
    obstore.put(store, _path(table, first), held.getvalue())
