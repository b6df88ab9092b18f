"""Which delivered files a lake holds, by its raw rows, dead letters and register together.

Belongs here: whether a file has to be read, and what is known of its bytes. Does not belong here:
reading the origins of rows (`row_origins.py`), and which bytes a file in landing has
(`delivery_register.py`). Bytes that are delivered several times are one delivery: the one that was
written first, whichever landed first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl
from deltalake import DeltaTable

from lakehouse.ingest.delivery_register import DELIVERIES, Register, read_register
from lakehouse.ingest.files.listing import Entry, Occurrence, Stamp
from lakehouse.ingest.row_origins import (
    ROW_ORIGIN,
    index_occurrences,
    read_first_occurrences,
    select_first_occurrences,
)
from lakehouse.origin import DIGEST_DIGITS, Origin, make_source
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, DeadLetters
from lakehouse.quarantine.states import State
from lakehouse.storage.handle_cache import ValueCache
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision, read_revision

_FEW_ENTRIES = 100
"""Fewer entries are looked up in the frame; for more, all settled files become a set first.

A sensor that sees one new file must not pay for all that ever landed."""


@dataclass(frozen=True)
class LandedFiles:
    """The deliveries of one raw table. A digest may be given whole; only its start is compared.

    Attributes:
        revision: the revision of the raw table that was read; None when there is no table.
        deliveries: the first occurrence of each delivery: `digest`, `_modified_at` and `name`.
        rowless: the digests of deliveries that have only dead letters left.
        register: what is known of each file that was read, landed or not.
        settled: the files that would change nothing, in the columns of an entry.
        incomplete: the digests of deliveries with rows that have lost dead letters.
        letters: the number of dead letters that are stored, by digest.
        refused: the state of the letter of each refused file that nobody has decided on, by origin.
    """

    revision: Revision | None
    deliveries: pl.DataFrame
    rowless: frozenset[str]
    register: Register
    settled: pl.DataFrame
    incomplete: frozenset[str] = frozenset()
    letters: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, State] = field(default_factory=dict)

    @cached_property
    def stamps(self) -> Mapping[str, Stamp]:
        """The stamp of each settled file, by its name; the last one of a name counts."""
        # Milliseconds, as a listing gives them: Delta statistics keep no more digits.
        times = self.settled["modified_at"].dt.epoch("ms").to_list()
        stamps = zip(
            times, self.settled["size"].to_list(), self.settled["etag"].to_list(), strict=True
        )
        return dict(zip(self.settled["name"].to_list(), stamps, strict=True))

    @cached_property
    def by_digest(self) -> dict[str, Occurrence]:
        """The first occurrence of each delivery, by its hash."""
        return index_occurrences(self.deliveries)

    def select_unsettled(self, entries: Sequence[Entry]) -> list[Entry]:
        """Selects the entries that may change something, judged by what a listing says of them."""
        if len(entries) < _FEW_ENTRIES:
            names = pl.Series([entry.name for entry in entries], dtype=pl.String).implode()
            settled = frozenset(self.settled.filter(pl.col("name").is_in(names)).rows())
        else:
            settled = self._all_settled
        return [entry for entry in entries if entry not in settled]

    def is_registered(self, entry: Entry, digest: str) -> bool:
        """Returns whether the register has this file with these bytes."""
        if not self.register.has_name(entry.name):
            return False
        return self.register.digests.get(entry) == digest[:DIGEST_DIGITS]

    def find_twin(self, digest: str) -> Occurrence | None:
        """Returns the first occurrence of these bytes, if they are landed."""
        if digest[:DIGEST_DIGITS] not in self._digests:
            return None
        return self.by_digest[digest[:DIGEST_DIGITS]]

    def lacks_letters(self, digest: str, count: int) -> bool:
        """Returns whether these bytes have rows and have lost dead letters.

        Args:
            digest: the hash of the bytes.
            count: how many dead letters a reading of them gives.
        """
        # By the reading as well, for the register may be lost with the letters.
        start = digest[:DIGEST_DIGITS]
        is_short = self.letters.get(start, 0) < count and not self.is_rowless(digest)
        return start in self.incomplete or is_short

    def is_rowless(self, digest: str) -> bool:
        """Returns whether only dead letters are left of these bytes."""
        return digest[:DIGEST_DIGITS] in self.rowless

    @cached_property
    def _digests(self) -> frozenset[str]:
        # Cheaper to make than `by_digest`, and enough for the usual case: bytes that are new.
        return frozenset(self.deliveries["digest"].to_list())

    @cached_property
    def _all_settled(self) -> frozenset[tuple[object, ...]]:
        return frozenset(self.settled.rows())


class LandedFilesCache:
    """The deliveries of each raw table, for as long as the open tables of a lake are kept."""

    def __init__(self) -> None:
        self.by_table = ValueCache[LandedFiles]()


def read_landed_files(lake: Lake, table: str) -> LandedFiles:
    """Reads which deliveries a raw table and its dead letters hold."""
    handle = lake.open_shared(table)
    with ThreadPoolExecutor(1) as beside:
        # From this handle, so the rows are those of its version whenever the thread reads them.
        rows = beside.submit(read_first_occurrences, lake, table, handle)
        versions = (handle, lake.open_shared(DEAD_LETTERS), lake.open_shared(DELIVERIES))
        cache = lake.handles.companion(LandedFilesCache).by_table
        return cache.get(table, versions, lambda: _combine(lake, table, handle, rows))


def _combine(
    lake: Lake, table: str, handle: DeltaTable | None, of_rows: Future[pl.DataFrame]
) -> LandedFiles:
    letters, register = DeadLetters(lake, table).files(), read_register(lake, table)
    rows = of_rows.result()
    # Bytes with rows are landed whatever their letters say: these give the name under which they
    # were read first, which may be of another format.
    dead = [(source, moment) for source, moment, is_dead, _ in letters if is_dead]
    of_letters = select_first_occurrences(pl.DataFrame(dead, schema=ROW_ORIGIN, orient="row"))
    rowless = of_letters.join(rows, on="digest", how="anti") if of_letters.height else of_letters
    # Letters of the same bytes may have two origins: before and after an earlier copy was found.
    counts = Counter[str]()
    for source, _, _, count in letters:
        counts[Origin.parse(source).digest] += count
    incomplete = _find_incomplete(register, rows, counts)
    files = register.files
    # Not settled, though their rows are landed: reading these files again brings back the letters
    # that a RESTORE or a delete has taken out of quarantine.
    if incomplete:
        files = files.filter(~pl.col("digest").is_in(sorted(incomplete)))
    return LandedFiles(
        revision=None if handle is None else read_revision(handle),
        deliveries=pl.concat([rowless, rows]),
        rowless=frozenset(rowless["digest"]),
        letters=counts,
        refused=DeadLetters(lake, table).refused(),
        register=register,
        settled=_select_settled(files, register.files, rows, rowless),
        incomplete=incomplete,
    )


def _find_incomplete(
    register: Register, rows: pl.DataFrame, letters: Mapping[str, int]
) -> frozenset[str]:
    """Returns the deliveries with rows that have fewer dead letters than the register counted."""
    short = {digest for digest, count in register.letters.items() if letters.get(digest, 0) < count}
    return frozenset(short.intersection(rows["digest"].to_list()) if short else ())


def _select_settled(
    files: pl.DataFrame, every: pl.DataFrame, rows: pl.DataFrame, rowless: pl.DataFrame
) -> pl.DataFrame:
    """Selects the registered files that would change nothing.

    That is so if their bytes are landed under their own origin or an earlier one, gave only dead
    letters, or hold no record; and for an archive if that is so for each of its members.

    Args:
        files: the registered files without those that have lost dead letters.
        every: all registered files.
        rows: the first occurrence of each delivery with rows.
        rowless: that of each delivery with dead letters alone.
    """
    # An earlier delivery of landed bytes is not settled: it gives the rows its origin. On equal
    # times the lesser name counts as earlier, as `Occurrence` is ordered.
    by_rows = files.join(rows.rename({"name": "first"}), on="digest")
    is_older = pl.col("_modified_at") < pl.col("modified_at")
    is_same_moment = pl.col("_modified_at") == pl.col("modified_at")
    is_later_delivery = is_older | (is_same_moment & (pl.col("first") <= pl.col("name")))
    by_letters = files.join(rowless, on="digest", how="semi") if rowless.height else files.clear()
    is_empty = files.filter(pl.col("outcome") == "empty")
    found = (by_rows.filter(is_later_delivery), by_letters, is_empty)
    settled = pl.concat([one.select(Entry._fields) for one in found])
    archives = files.filter(pl.col("outcome") == "archive")
    if archives.is_empty():
        return settled
    members = every.filter(pl.col("archive").is_not_null())
    waiting = members.join(settled, on=["name", "modified_at", "size", "etag"], how="anti")
    source = make_source(pl.col("name"), pl.col("digest")).alias("archive")
    whole = archives.with_columns(source).join(
        waiting, on=["archive", "modified_at", "etag"], how="anti"
    )
    return pl.concat([settled, whole.select(Entry._fields)])
