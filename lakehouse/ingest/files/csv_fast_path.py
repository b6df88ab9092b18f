"""The fast path of CSV: a block in which every line is a plain record, parsed by Polars.

A block is plain if it is valid UTF-8, all its lines end in the same way (LF or CRLF), none is blank, each is a whole
record with all the header's fields, what is more than those is empty, and quotes surround whole fields; and it does not
begin with a byte order mark, which Polars would take away: below the header it is part of a value. Any other block
is left to `csv_records.py`, which reads the same meaning out of a plain one, line by line.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import polars as pl

from lakehouse.ingest.files.lines import BYTE_ORDER_MARK
from lakehouse.ingest.limits import IngestLimits

_MARKER = b"\x01"
"""Stands for a quoted field while fields are counted; a block that holds it is not plain."""

_QUOTED = re.compile(rb'"[^"\n]*(?:""[^"\n]*)*"')


class PlainRows(NamedTuple):
    """The rows of a plain block, all text, empty as null; how its lines end, and how many there are."""

    rows: pl.DataFrame
    end: bytes
    lines: int


def parse_plain_block(
    block: bytes, separator: str, columns: Sequence[str], limits: IngestLimits
) -> PlainRows | None:
    """The rows of a block; None if it is not plain."""
    end = _line_end(block)
    if end is None or _MARKER in block or block.startswith(BYTE_ORDER_MARK):
        return None
    body = block if end == b"\n" else block.replace(b"\r\n", b"\n")
    if not _is_utf_8(body) or not _is_plain(body, separator.encode(), len(columns), limits):
        return None
    rows = _parsed(body, separator, columns)
    is_whole = rows is not None and rows.height == body.count(b"\n") + (not body.endswith(b"\n"))
    return PlainRows(rows, end, rows.height) if rows is not None and is_whole else None


def _line_end(block: bytes) -> bytes | None:
    """How all lines end; None if they differ."""
    if b"\r" not in block:
        return b"\n"
    returns = block.count(b"\r")
    return b"\r\n" if block.count(b"\n") == block.count(b"\r\n") == returns else None


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_plain(body: bytes, separator: bytes, width: int, limits: IngestLimits) -> bool:
    if len(body) > limits.record_bytes and max(map(len, body.split(b"\n"))) > limits.record_bytes:
        return False
    skeleton = _QUOTED.sub(_MARKER, body) if b'"' in body else body
    if b'"' in skeleton or _stray(separator).search(b"\n%b\n" % skeleton):
        return False
    body = skeleton.removesuffix(b"\n")
    if width > 1 and _is_even(body, separator, width):
        return True
    lines = body.split(b"\n")
    counts = ((line.count(separator), line.rstrip(separator).count(separator)) for line in lines)
    return b"" not in lines and all(most >= width - 1 >= least for most, least in counts)


def _is_even(body: bytes, separator: bytes, width: int) -> bool:
    """Whether each line has just so many fields, of which there are several: what is left of it are separators."""
    left = body.translate(None, _others(separator)) + b"\n"
    return left == (separator * (width - 1) + b"\n") * left.count(b"\n")


@cache
def _others(separator: bytes) -> bytes:
    return bytes(byte for byte in range(256) if byte not in separator + b"\n")


@cache
def _stray(separator: bytes) -> re.Pattern[bytes]:
    """What finds a quoted field that is only a part of one."""
    beside = b"[%b\n]" % re.escape(separator)
    return re.compile(b"%b(?:(?<!%b%b)|(?!%b))" % (_MARKER, beside, _MARKER, beside))


def _parsed(body: bytes, separator: str, columns: Sequence[str]) -> pl.DataFrame | None:
    try:
        rows = pl.read_csv(
            body,
            has_header=False,
            schema=dict.fromkeys(columns, pl.String),
            separator=separator,
            quote_char='"' if b'"' in body else None,
            truncate_ragged_lines=True,
            extra_columns="ignore",
        )
    except pl.exceptions.PolarsError:
        return None
    # What is not quoted and empty is null already.
    return rows.with_columns(pl.when(pl.all() != "").then(pl.all())) if b'""' in body else rows
