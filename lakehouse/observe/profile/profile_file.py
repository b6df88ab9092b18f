"""Makes the profile of a file: recognised, read as a delivery is, and looked at column by column.

Memory is bounded by the number of rows that are looked at, not by the file.
"""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import polars as pl

from lakehouse.ingest.files.delivery import Delivery, read_delivery, scan_letters, scan_rows
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.recognize.declaration_text import write_files
from lakehouse.ingest.files.recognize.recognized import Recognized
from lakehouse.ingest.files.recognize.recognizer import recognize
from lakehouse.observe.profile.column_values import profile_column
from lakehouse.observe.profile.profiles import ColumnProfile, FileProfile
from lakehouse.tables.files import PLAIN, Files
from lakehouse.wording import format_count

_MOST_CELLS = 4_000_000
_MOST_ROWS = 100_000
_CHUNK = 1 << 20
_MOST_KEY_COLUMNS = 8


def profile_file(path: Path, files: Files | None = None, *, name: str | None = None) -> FileProfile:
    """Returns the profile of a file.

    Args:
        path: the file.
        files: how it is read; None finds it out.
        name: its name in landing with its folders; folders called `column=value` are columns.

    Raises:
        OSError: the file cannot be read.
    """
    found = recognize(path, path.name) if files is None else Recognized(files)
    look = Recognized(PLAIN, doubts=("what the file looks like cannot be told",))
    found = found or look
    if name is not None and "=" in name.rpartition("/")[0]:
        found = replace(found, files=replace(found.files, folders=True))
    names = found.columns or tuple(f"column_{n}" for n in range(1, found.width + 1))
    options = ReadOptions((), names, found.files)
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        delivery = read_delivery(
            _read_chunks(path), name=name or path.name, spool=Path(folder), options=options
        )
        return _describe(delivery, found)


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def _describe(delivery: Delivery, found: Recognized) -> FileProfile:
    sample = _take_rows(delivery) if delivery.rows_count else pl.DataFrame()
    columns = (
        tuple(profile_column(sample[name], is_typed=delivery.is_typed) for name in delivery.columns)
        if delivery.rows_count
        else ()
    )
    inner = _describe_lists(sample, found.files, columns)
    notes = (*found.notes, *delivery.notes, *_describe_letters(delivery), *inner)
    return FileProfile(
        name=delivery.name,
        files=found.files,
        size=delivery.size,
        records=delivery.records,
        dead_letters=0 if delivery.refused else delivery.dead_count,
        refused=delivery.refused,
        columns=columns,
        keys=tuple(_find_keys(sample, columns)),
        event_time=_find_event_time(columns, delivery.named),
        doubled=sample.height - sample.unique().height if sample.width else 0,
        looked_at=sample.height,
        notes=notes,
        doubts=found.doubts,
    )


def _take_rows(delivery: Delivery) -> pl.DataFrame:
    """Returns the rows of a delivery, or of a large one every so many."""
    most = max(1, min(_MOST_ROWS, _MOST_CELLS // max(1, len(delivery.columns))))
    rows = scan_rows(delivery)
    if delivery.rows_count > most:
        rows = rows.filter(pl.col("_offset") % -(-delivery.rows_count // most) == 1)
    return rows.select(delivery.columns).collect(engine="streaming")


def _describe_letters(delivery: Delivery) -> Iterator[str]:
    if delivery.refused or not delivery.dead_count:
        return
    reasons = scan_letters(delivery).group_by("reason").len().sort("len", descending=True)
    for reason, count in reasons.head(3).collect().iter_rows():
        yield f"{format_count(count, 'record')} cannot be read: {reason}"


def _describe_lists(
    sample: pl.DataFrame, files: Files, columns: Sequence[ColumnProfile]
) -> Iterator[str]:
    """Yields how lists of objects within the records would be read as a table of their own."""
    if files.records is None:
        return
    last = files.records.removesuffix("[]").rpartition(".")[2]
    keys = [name for (name,) in _find_keys(sample, columns[:1])]
    for column in columns:
        if sample.schema[column.name] != pl.String or not column.distinct:
            continue
        texts = sample[column.name].drop_nulls()
        if not (texts.str.starts_with("[{") | (texts == "[]")).all():
            continue
        if not texts.str.starts_with("[{").any():
            continue
        parents = {f"{last}_{key}": f"{files.records}.{key}" for key in keys}
        inner = Files(
            format=files.format, records=f"{files.records}.{column.name}[]", parents=parents
        )
        yield f"{column.name} holds lists of objects; as a table of their own: {write_files(inner)}"


def _find_keys(sample: pl.DataFrame, columns: Sequence[ColumnProfile]) -> Iterator[tuple[str, ...]]:
    """Yields the columns that name each record, alone; pairs of columns if there are none."""
    rows = sample.height
    if rows < 2:  # noqa: PLR2004
        return
    full = [column for column in columns if not column.nulls and not column.marks]
    single = [column.name for column in full if column.distinct == rows and _may_name(column)]
    if single:
        yield from ((name,) for name in single)
        return
    likely = sorted(
        (column for column in full if column.distinct > 1 and _may_name(column)),
        key=lambda column: -column.distinct,
    )[:_MOST_KEY_COLUMNS]
    for first, second in combinations(likely, 2):
        if first.distinct * second.distinct < rows:
            continue
        names = sorted((first.name, second.name), key=sample.columns.index)
        if sample.select(pl.struct(names).n_unique()).item() == rows:
            yield tuple(names)


def _may_name(column: ColumnProfile) -> bool:
    """Returns whether values of a column may be a key; a measure that never repeats is none."""
    kind = column.reading.kind if column.reading else column.type
    return kind not in ("real", "yes or no", "real number") and not kind.startswith(
        ("List", "Struct", "Float")
    )


def _find_event_time(columns: tuple[ColumnProfile, ...], named: Collection[str]) -> str | None:
    """Returns the column that says when a record happened: the first that is always there.

    A day in the name of the folder goes first: what delivers the files has parted them by it.
    """
    times = [
        column
        for column in columns
        if (column.reading.kind if column.reading else column.type)
        in ("instant", "local time", "day")
        and not column.doubt
        and not column.personal
    ]
    full = [
        column for column in times if not column.nulls and not column.marks and not column.unread
    ]
    for column in sorted(full or times, key=lambda one: one.name not in named):
        return column.name
    return None
