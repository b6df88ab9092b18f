"""The depth of a schema is known before a library reads it, and no footer ends the process."""

import io
import random
from pathlib import Path

import polars as pl
import pytest

from lakehouse.ingest.files.typed.parquet_footer import BrokenFooterError, read_footer

NAME = "a.parquet"


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


def varint(number: int) -> bytes:
    head = b""
    while number > 0x7F:
        head += bytes([number & 0x7F | 0x80])
        number >>= 7
    return head + bytes([number])


def element(name: bytes, children: int) -> bytes:
    """One element of a schema in Thrift: a group, or an optional number of 64 bits."""
    number = bytes([0x15]) + varint(2 << 1)
    repetition = bytes([0x35 if children else 0x25]) + varint(1 << 1)
    text = bytes([0x18]) + varint(len(name)) + name
    count = bytes([0x15]) + varint(children << 1)
    return (b"" if children else number) + repetition + text + (count if children else b"") + b"\0"


def nested(levels: int) -> bytes:
    """A Parquet file without rows whose one column lies in so many groups."""
    schema = [element(b"root", 1), *[element(b"g", 1)] * levels, element(b"x", 0)]
    head = bytes([0xFC]) + varint(len(schema))
    footer = b"\x15\x02\x19" + head + b"".join(schema) + b"\x16\0\x19\x0c\0"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def depth(folder: Path, content: bytes) -> int:
    (folder / NAME).write_bytes(content)
    return read_footer(folder / NAME)[0]


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        ({"a": [1]}, 1),
        ({"a": [1], "b": ["x"], "c": [None]}, 1),
        ({"a": [{"b": 1, "c": {"d": 1}}], "e": [1]}, 3),
        ({"a": [[1]]}, 3),
        ({"a": [[{"b": [[1]]}]], "z": [1]}, 8),
    ],
)
def test_the_depth_of_a_real_schema(tmp_path, columns, groups):
    assert depth(tmp_path, parquet(**columns)) == groups


@pytest.mark.parametrize("levels", [300, 5000, 100_000])
def test_a_schema_that_overflows_the_stack_of_its_readers_is_refused(read, levels):
    reason = read(nested(levels), NAME).delivery.refused
    assert reason == f"nested {levels + 1:,} groups deep; limit 100 (nesting)"


def test_a_schema_within_the_limit_is_read(read):
    assert read(nested(90), NAME).delivery.refused is None


def test_no_damage_to_a_footer_ends_in_another_error(tmp_path):
    whole = parquet(a=[1], b=[{"c": [1.5]}], d=["x"])
    length = int.from_bytes(whole[-8:-4], "little")
    random_ = random.Random(5)
    for _ in range(500):
        content = bytearray(whole)
        for _ in range(random_.choice([1, 1, 3])):
            content[-8 - random_.randrange(1, length)] = random_.randrange(256)
        try:
            assert depth(tmp_path, bytes(content)) >= 0
        except BrokenFooterError:
            continue


def test_a_footer_longer_than_the_file_is_damaged(read):
    content = parquet(a=[1])
    damaged = content[:-8] + (1 << 20).to_bytes(4, "little") + b"PAR1"
    assert read(damaged, NAME).delivery.refused.startswith("Parquet file is damaged: its footer")
