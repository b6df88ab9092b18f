"""The register of deliveries, `quarantine/deliveries`: the outcome of each file that was read.

Grain: a file. A registered file is recognised by name, time, size and tag and not read again.
Whether its bytes are landed is read from the raw table, so a RESTORE of that table needs no change
here. The register is safe to lose: its files are read once more.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal, cast

import polars as pl

from lakehouse.errors import BusyError
from lakehouse.ingest.files.listing import Entry
from lakehouse.origin import Origin, select_digest, select_name
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append, TableInfo
from lakehouse.publish.retry import retry_if_busy
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import ORIGIN

DELIVERIES = "quarantine/deliveries"
REGISTER_SCHEMA = pl.Schema(
    {
        "table": pl.String(),
        "outcome": pl.String(),
        "same_bytes_as": pl.String(),
        "size": pl.Int64(),
        "etag": pl.String(),
        "dead": pl.Int64(),
        "archive": pl.String(),
        **{name: dtype for name, dtype in ORIGIN.items() if name != "_offset"},
    }
)
_COMMENTS = {
    "table": "The raw table for which the file was delivered",
    "outcome": "landed; dead, if all records are dead letters; repeated, if its bytes are known; "
    "empty, if it is sound and has no record; archive, if its members have rows of their own here",
    "same_bytes_as": "The origin of the rows that had the same bytes when this file was read",
    "size": "Bytes of the file",
    "etag": "Changes with the bytes: the ETag of an object, the time of change of a file's inode",
    "dead": "How many dead letters it has",
    "archive": "The origin of the archive of which it is a member",
    "_source": "The delivered file and the hash of its bytes",
    "_modified_at": "When the file was written",
    "_batch_id": "The batch in which it was read",
    "_ingested_at": "When it was read",
}
# The first five are the fields of an `Entry`, in its order: tuples of them are compared.
_FILES = {
    "name": pl.String(),
    "modified_at": ORIGIN["_modified_at"],
    "size": pl.Int64(),
    "problem": pl.String(),
    "etag": pl.String(),
    "digest": pl.String(),
    "dead": pl.Int64(),
    "outcome": pl.String(),
    "archive": pl.String(),
}
# With the number of dead letters: bytes that are read by another reader may have fewer, and then
# the file gets a second row, which counts from then on.
_KEY = ["table", "_source", "_modified_at", "size", "etag", "dead"]

_STAMP_FIELDS = 3
"""How many fields of an `Entry` tell a file by its name, time and size."""

Outcome = Literal["landed", "dead", "repeated", "empty", "archive"]
"""What became of a file: `dead` if all its records are dead letters, `empty` if it has none.

An `archive` holds several files, each with an outcome of its own."""


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file that was read to its end; a row of the register.

    Attributes:
        origin: its name and the hash of its bytes.
        modified_at: when it was written.
        size: its bytes.
        etag: the tag of its entry.
        outcome: what became of it.
        dead: how many dead letters it has.
        same_bytes_as: the origin of the rows with the same bytes, if it is `repeated`.
        archive: the origin of the archive of which it is a member.
    """

    origin: Origin
    modified_at: datetime
    size: int
    etag: str
    outcome: Outcome
    dead: int
    same_bytes_as: Origin | None = None
    archive: Origin | None = None


@dataclass(frozen=True)
class Register:
    """The registered files of one raw table.

    Attributes:
        files: the files in the order in which they were read. Columns: those of an `Entry`, the
            hash of the bytes, how many dead letters these have, their outcome, and the origin of
            the archive of which they are members.
        letters: how many dead letters some bytes have, by their hash. A repeated file says nothing
            of that: its letters are those of the first one.
    """

    files: pl.DataFrame
    letters: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def digests(self) -> Mapping[Entry, str]:
        """The hash of each file that was read."""
        # Plain tuples are equal to entries and cheaper to make.
        entries = cast("list[Entry]", self.files.select(Entry._fields).rows())
        return dict(zip(entries, self.files["digest"], strict=True))

    def guess_digest(self, entry: Entry) -> str | None:
        """Returns the hash of a file of which only the tag may have changed, as in a copy."""
        return self.digests.get(entry) or self._digests_by_stamp.get(entry[:_STAMP_FIELDS])

    @cached_property
    def _digests_by_stamp(self) -> Mapping[tuple[object, ...], str]:
        stamps = self.files.select(Entry._fields[:_STAMP_FIELDS]).rows()
        return dict(zip(stamps, self.files["digest"], strict=True))

    def has_name(self, name: str) -> bool:
        """Returns whether any file of this name was read."""
        return name in self._names

    def find_entry(self, name: str, modified_at: datetime, digest: str) -> Entry | None:
        """Returns the entry of a file as it was read last; None if it is not registered."""
        is_it = (pl.col("name") == name) & (pl.col("modified_at") == modified_at)
        found = self.files.filter(is_it & (pl.col("digest") == digest)).select(Entry._fields)
        return Entry(*found.row(-1)) if found.height else None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.files["name"].to_list())

    def list_members(self, archive: Entry) -> dict[str, str]:
        """Returns the hash of each member of an archive that was read, by its name."""
        digest = self.digests.get(archive)
        if digest is None or self._members.is_empty():
            return {}
        # Members have the time and the tag of their archive.
        found = self._members.filter(
            (pl.col("archive") == Origin.of(archive.name, digest).source)
            & (pl.col("modified_at") == archive.modified_at)
            & (pl.col("etag") == archive.etag)
        )
        return dict(found.select("name", "digest").iter_rows())

    def find_archives(self, digest: str) -> dict[str, str]:
        """Returns the archives of which some bytes are a member, by origin, with its name there."""
        found = self._members.filter(pl.col("digest") == digest)
        return dict(found.select("archive", "name").iter_rows())

    @cached_property
    def _members(self) -> pl.DataFrame:
        return self.files.filter(pl.col("archive").is_not_null())


def read_register(lake: Lake, table: str) -> Register:
    """Reads the registered files of a raw table."""
    # Read whole by each look at landing; its commits compact it, so it stays a few files.
    handle, source = lake.open_shared(DELIVERIES), pl.col("_source")
    if handle is None:
        return Register(pl.DataFrame(schema=_FILES))
    rows = scan_visible_rows(handle).filter(pl.col("table") == table).sort("_ingested_at")
    if "archive" not in rows.collect_schema():  # written by version 0.2.0
        rows = rows.with_columns(archive=pl.lit(None, dtype=pl.String))
    found = rows.select(
        select_name(source),
        pl.col("_modified_at").alias("modified_at"),
        "size",
        # A file that was read to its end had no problem, so it equals the entry of the same file.
        pl.lit(None, dtype=pl.String).alias("problem"),
        "etag",
        select_digest(source),
        "dead",
        "outcome",
        "archive",
    )
    files = found.collect()
    # Of two readings of the same bytes the later one counts: a replay may have read more of them.
    counted = files.filter(pl.col("outcome") != "repeated").select("digest", "dead")
    # Of two readings of the same file, the later one describes what is in landing.
    latest = files.unique(Entry._fields, keep="last", maintain_order=True)
    return Register(latest, dict(counted.iter_rows()))


def register_deliveries(
    lake: Lake, table: str, outcomes: Sequence[FileOutcome], read_at: datetime, made_by: Provenance
) -> None:
    """Adds files to the register, each once.

    Gives up silently when other writers keep being faster: the next run reads the files and
    registers them.

    Args:
        lake: where the tables are.
        table: the raw table for which the files were delivered.
        outcomes: what became of each file.
        read_at: when the batch began in which they were read.
        made_by: the run and the batch; stored in the commit.
    """
    if not outcomes:
        return
    rows = [_make_row(table, outcome, read_at, made_by.batch_id) for outcome in outcomes]
    read = pl.DataFrame(rows, schema=REGISTER_SCHEMA)
    # Other writers must not make a landing fail here: its rows are committed.
    with suppress(BusyError):
        retry_if_busy(lambda: _append(lake, read, made_by))


def _make_row(
    table: str, found: FileOutcome, read_at: datetime, batch_id: str | None
) -> dict[str, object]:
    twin = found.same_bytes_as
    return {
        "table": table,
        "outcome": found.outcome,
        "same_bytes_as": None if twin is None else twin.source,
        "size": found.size,
        "etag": found.etag,
        "dead": found.dead,
        "archive": None if found.archive is None else found.archive.source,
        "_source": found.origin.source,
        "_modified_at": found.modified_at,
        "_batch_id": batch_id,
        "_ingested_at": read_at,
    }


def _append(lake: Lake, read: pl.DataFrame, made_by: Provenance) -> Audit | None:
    with lake.translate_errors():
        handle = lake.open_shared(DELIVERIES)
        new = read if handle is None else _drop_registered(scan_visible_rows(handle), read)
        if new.is_empty():
            return None
        request = Append(
            DELIVERIES,
            new.lazy(),
            base=None if handle is None else read_revision(handle),
            info=TableInfo(
                description="Every delivered file that was read to its end, and what became of it.",
                comments=_COMMENTS,
            ),
        )
        return publish(
            lake,
            request,
            lambda found: Audit(
                DELIVERIES, "append", read=new.height, written=found.rows, provenance=made_by
            ),
        )


def _drop_registered(register: pl.LazyFrame, read: pl.DataFrame) -> pl.DataFrame:
    """Returns the files that no other landing has registered meanwhile."""
    # Two landings may read a file at the same time: the second finds its rows in the raw table, but
    # began before the first one had registered it.
    of_these = register.filter(pl.col("_source").is_in(read["_source"].to_list())).collect()
    return read.join(of_these, on=_KEY, how="anti")
