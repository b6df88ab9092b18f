"""The profile of a file and of each column: the facts that people look at first."""

from dataclasses import dataclass

import polars as pl

from lakehouse.observe.profile.readings import Reading
from lakehouse.tables.files import Files


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        name: its name in the file.
        type: the type that reads it, in words.
        reading: how its text is read; None if the file has types of its own.
        nulls: how many values are null.
        marks: texts that may stand for null, and how often each occurs.
        unread: how many values the type does not read; they would be quarantined.
        distinct: how many different values it has.
        least: the least value.
        greatest: the greatest value.
        quantiles: the values below which 5, 25, 50, 75 and 95 of a hundred lie; of numbers alone.
        top: the most frequent values, and how often each occurs.
        patterns: the most frequent shapes of values: 9 for digits, a and A for letters.
        personal: what personal data it seems to hold.
        doubt: why its type is not certain.
        decimals: how many decimals each of its numbers has; None if that differs.
        dtype: its type in a file that has types; None if the file gives text.
    """

    name: str
    type: str
    reading: Reading | None
    nulls: int
    marks: dict[str, int]
    unread: int
    distinct: int
    least: str | None
    greatest: str | None
    quantiles: tuple[float, ...]
    top: tuple[tuple[str, int], ...]
    patterns: tuple[tuple[str, int], ...]
    personal: str | None
    doubt: str | None
    decimals: int | None = None
    dtype: pl.DataType | None = None


@dataclass(frozen=True)
class FileProfile:
    """What a file holds.

    Attributes:
        name: its name.
        files: the declaration that reads it.
        size: its bytes.
        records: its records; 0 if it was refused.
        dead_letters: records that cannot be read.
        refused: why the whole file cannot be read.
        columns: its columns in their order.
        keys: columns, alone or in pairs, that seem to name a record.
        event_time: the column that seems to say when it happened.
        doubled: rows that repeat another one.
        looked_at: how many rows distinct and frequent values were counted in.
        notes: what people should know.
        doubts: what people should look at.
    """

    name: str
    files: Files
    size: int
    records: int
    dead_letters: int
    refused: str | None
    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[str, ...], ...]
    event_time: str | None
    doubled: int
    looked_at: int
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
