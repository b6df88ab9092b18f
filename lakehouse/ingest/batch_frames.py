"""The rows and the dead letters of deliveries as frames in the columns of their tables.

Belongs here: the frames. Does not belong here: which deliveries are new (`batch_builder.py`), and
how delivered columns go into those of the table (`drift/`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from lakehouse.ingest.batch import BatchStamp
from lakehouse.ingest.drift.columns import TableColumns
from lakehouse.ingest.drift.projection import Projection
from lakehouse.ingest.files.delivery import Delivery, scan_letters, scan_rows
from lakehouse.ingest.files.listing import Entry
from lakehouse.ingest.small_deliveries import SmallDeliveries
from lakehouse.origin import Origin
from lakehouse.publish.auto_compaction import group_deliveries
from lakehouse.quarantine.dead_letters import SCHEMA, DeadLetters
from lakehouse.quarantine.states import Attempt
from lakehouse.storage.lake import Lake
from lakehouse.storage.limits import WriteLimits
from lakehouse.system_columns import ORIGIN, RESCUED
from lakehouse.tables.reading import add_day
from lakehouse.tables.table_types import RawTable

_PLAIN_SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,8}){1,2}$")


@dataclass(frozen=True)
class FittedDelivery:
    """A delivery that was read and brought to the columns of its table.

    Attributes:
        entry: the file in landing.
        delivery: what it holds.
        origin: its name and the hash of its bytes.
        projection: how its columns go into those of the table.
    """

    entry: Entry
    delivery: Delivery
    origin: Origin
    projection: Projection


def frame_rows(
    columns: TableColumns,
    spooled: Iterable[FittedDelivery],
    small: SmallDeliveries,
    stamp: BatchStamp,
) -> pl.LazyFrame:
    """Returns the rows of deliveries in all columns of their raw table, origin and day included.

    Args:
        columns: the columns of the table, those that the deliveries brought included.
        spooled: the deliveries whose rows are spooled by themselves.
        small: the rows of the other deliveries.
        stamp: the batch.
    """
    raw = columns.raw
    frames = [
        scan_rows(one.delivery).select(*columns.project(one.projection), *_origin(one, stamp))
        for one in spooled
    ]
    origin = ("_source", "_offset", "_modified_at")
    frames += [
        rows.select(*columns.project(projection), *origin, *stamp.columns())
        for projection, rows in small.frames()
    ]
    rescued = {RESCUED: pl.String()} if raw.drift == "rescue" else {}
    # Dead letters or corrections alone are a commit as well, and it needs the columns of the table.
    empty = pl.LazyFrame(schema={**columns.all, **rescued, **ORIGIN})
    rows = pl.concat(frames) if frames else empty
    # Over the columns of the table, where values have their declared types and names.
    return add_day(rows, raw)


def number_files(deliveries: Iterable[FittedDelivery], limits: WriteLimits) -> pl.Expr | None:
    """Returns the number of the data file for a row, as `_file`; None if one file takes all rows.

    A delivery has a file of its own, unless many are small: then neighbours share one.
    """
    # A delivery without rows writes no file, so it must not count as one more small file.
    filled = [one for one in deliveries if one.delivery.rows_count]
    sizes = [(one.delivery.rows_count, one.delivery.size) for one in filled]
    files = group_deliveries(sizes, limits)
    if len(set(files)) <= 1:
        return None
    sources = [one.origin.source for one in filled]
    return pl.col("_source").replace_strict(sources, files, return_dtype=pl.UInt32).alias("_file")


def frame_letters(raw: RawTable, one: FittedDelivery, stamp: BatchStamp) -> pl.LazyFrame:
    """Returns the dead letters of a delivery, open since the batch began."""
    delivery = one.delivery
    kept_at = locate_kept_file(raw, one.origin) if delivery.is_cut else None
    letters = scan_letters(delivery).with_columns(
        pl.lit(raw.name).alias("table"),
        pl.lit(kept_at, dtype=pl.String).alias("kept_at"),
        pl.lit(delivery.rows_count, dtype=pl.Int64).alias("landed_rows"),
        *_origin(one, stamp),
        *_open_state(stamp),
    )
    return letters.select(SCHEMA.names())


def frame_unreadable(
    raw: RawTable, problems: Mapping[Entry, str], stamp: BatchStamp
) -> pl.LazyFrame:
    """Returns one dead letter, without bytes, for each file that could not be read."""
    rows = [
        {
            "table": raw.name,
            "reason": problem,
            "place": entry.name,
            "payload": None,
            "payload_bytes": entry.size,
            "kept_at": None,
            "landed_rows": 0,
            # Nothing is known of its bytes, so the file is tried again by each landing.
            "_source": Origin.of_unreadable(entry.name).source,
            "_offset": None,
            "_modified_at": entry.modified_at,
            "_batch_id": stamp.id,
            "_ingested_at": stamp.started_at,
        }
        for entry, problem in problems.items()
    ]
    return pl.LazyFrame(rows, schema=SCHEMA).with_columns(_open_state(stamp))


def find_stored(
    lake: Lake, raw: RawTable, new: Iterable[FittedDelivery], unreadable: Iterable[Entry]
) -> frozenset[str]:
    """Returns the sources with dead letters in the lake, as a killed attempt leaves them."""
    # By the bytes: the same file may have another name by now.
    sources = [one.origin.source for one in new]
    sources += [Origin.of_unreadable(entry.name).source for entry in unreadable]
    return DeadLetters(lake, raw.name).find_known(sources)


def frame_lost_letters(
    lake: Lake, raw: RawTable, incomplete: Sequence[FittedDelivery], stamp: BatchStamp
) -> pl.LazyFrame | None:
    """Returns the dead letters of landed deliveries that the lake has lost; None for none."""
    if not incomplete:
        return None
    stored = DeadLetters(lake, raw.name)
    # Only some letters of a file may be lost, so the others are left out one by one.
    return pl.concat(
        drop_stored(frame_letters(raw, one, stamp), stored.offsets(one.origin.source))
        for one in incomplete
    )


def drop_stored(letters: pl.LazyFrame, stored: pl.Series) -> pl.LazyFrame:
    """Returns the dead letters of one delivery that are not stored.

    Args:
        letters: all dead letters of the delivery.
        stored: the `_offset` of those that are stored; null stands for the file as a whole.
    """
    offset = pl.col("_offset")
    # `is_in` gives null for null, so the letter of a whole file is compared apart.
    is_whole_file = offset.is_null() & pl.lit(stored.has_nulls())
    is_stored = offset.is_in(stored.implode()) | is_whole_file
    return letters.filter(~is_stored.fill_null(False))


def locate_kept_file(raw: RawTable, origin: Origin) -> str:
    """Returns the path in the lake of a file that does not fit into a dead letter."""
    # Named by its hash alone: not every name that a file can have is one that the lake's store can
    # write. No table can be called `_files`.
    suffix = _PLAIN_SUFFIX.search(origin.name)
    return f"quarantine/_files/{raw.landing}/{origin.digest}{suffix[0] if suffix else ''}"


def describe_deliveries(raw: RawTable, deliveries: Sequence[FittedDelivery]) -> list[str]:
    """Returns what a person should know of the deliveries, led by the name of the file.

    What several files have in common is one note.
    """
    names: dict[str, list[str]] = {}
    for one in deliveries:
        for note in _describe(raw, one):
            names.setdefault(note, []).append(one.entry.name)
    return [f"{_name_files(files)}: {note}" for note, files in names.items()]


def _name_files(names: Sequence[str]) -> str:
    first, *others = names
    if not others:
        return first
    return f"{first} and {len(others):,} more file{'s' if len(others) > 1 else ''}"


def _describe(raw: RawTable, one: FittedDelivery) -> list[str]:
    notes = list(one.delivery.notes)
    if one.delivery.refused:
        return notes  # the batch names the reason
    if one.delivery.dead_count:
        notes.append(_describe_letters(one.delivery))
    if rescued := one.projection.rescued:
        values = ", ".join(f"{name} in {count:,}" for name, count in rescued.items())
        notes.append(f"rescued from {one.projection.rescued_rows:,} rows: {values}")
    if missing := sorted(raw.optional - set(one.projection.names.values())):
        notes.append(f"columns missing, so null in the rows: {', '.join(missing)}")
    return notes


def _describe_letters(delivery: Delivery) -> str:
    letters = scan_letters(delivery)
    # One is enough for a note: a file may have millions, and all of them are in the table.
    first = letters.sort("_offset").select("place", "reason").first()
    [(place, reason)] = first.collect().rows()
    count = f"{delivery.dead_count:,} dead letter{'s' if delivery.dead_count > 1 else ''}"
    return f"{count}, the first at {place}: {reason}"


def _origin(one: FittedDelivery, stamp: BatchStamp) -> list[pl.Expr]:
    return [
        pl.lit(one.origin.source).alias("_source"),
        pl.col("_offset"),
        pl.lit(one.entry.modified_at, dtype=ORIGIN["_modified_at"]).alias("_modified_at"),
        *stamp.columns(),
    ]


def _open_state(stamp: BatchStamp) -> list[pl.Expr]:
    # A dead letter has no columns for a run or versions, so the attempt needs none.
    return Attempt("", now=stamp.started_at).build_first_state()
