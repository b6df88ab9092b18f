"""The fast path of CSV: a block in which every line is a plain record, parsed by Polars.

A block is plain if it is valid UTF-8, all its lines end in the same way (LF or CRLF), none is
blank, each is a whole record with all fields of the header, surplus fields are empty, and quotes
surround whole fields. It must not begin with a byte order mark, which is part of a value below the
header but which Polars would remove. `csv_records.py` reads any other block; for a plain one it
gives the same rows, only slower.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import polars as pl

from lakehouse.ingest.files.lines import BYTE_ORDER_MARK
from lakehouse.ingest.limits import IngestLimits

_MARKER = b"\x01"
"""Replaces a quoted field while fields are counted; a block with this byte is not plain."""

_QUOTED = re.compile(rb'"[^"\n]*(?:""[^"\n]*)*"')


class PlainRows(NamedTuple):
    """The rows of a plain block as text, empty fields null; its line end and number of lines."""

    rows: pl.DataFrame
    end: bytes
    lines: int


def parse_plain_block(
    block: bytes, separator: str, columns: Sequence[str], limits: IngestLimits
) -> PlainRows | None:
    """Parses the rows of a block; returns None if it is not plain."""
    end = _find_line_end(block)
    if end is None or _MARKER in block or block.startswith(BYTE_ORDER_MARK):
        return None
    # From here on LF alone ends a line, so the checks below need to know only one end.
    body = block if end == b"\n" else block.replace(b"\r\n", b"\n")
    if not _is_utf_8(body) or not _is_plain(body, separator.encode(), len(columns), limits):
        return None
    rows = _parse(body, separator, columns)
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    # Another count means a record lost, joined or split (law 1): Polars does not have the last say.
    if rows is None or rows.height != lines:
        return None
    return PlainRows(rows, end, rows.height)


def _find_line_end(block: bytes) -> bytes | None:
    """Returns the end that all lines share; None if they differ."""
    if b"\r" not in block:
        return b"\n"
    returns = block.count(b"\r")
    # With equal counts every CR and every LF is half of a CRLF; a lone one would be another end.
    return b"\r\n" if block.count(b"\n") == block.count(b"\r\n") == returns else None


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_plain(body: bytes, separator: bytes, width: int, limits: IngestLimits) -> bool:
    # Most blocks are shorter than the longest record allowed, and then no line needs measuring.
    if len(body) > limits.record_bytes and max(map(len, body.split(b"\n"))) > limits.record_bytes:
        return False
    skeleton = _QUOTED.sub(_MARKER, body) if b'"' in body else body
    # A quote that is left opens a field that goes on in the next line, or is an ordinary character.
    if b'"' in skeleton or _match_partly_quoted(separator).search(b"\n%b\n" % skeleton):
        return False
    body = skeleton.removesuffix(b"\n")
    # One column has no separators, so this quick look would miss a blank line.
    if width > 1 and _is_even(body, separator, width):
        return True
    # `most` counts all separators of a line, `least` those before its last value: the fields
    # between the two are empty, so any width from one to the other is as good as the header's.
    lines = body.split(b"\n")
    counts = ((line.count(separator), line.rstrip(separator).count(separator)) for line in lines)
    return b"" not in lines and all(most >= width - 1 >= least for most, least in counts)


def _is_even(body: bytes, separator: bytes, width: int) -> bool:
    """Returns whether each line has `width` fields (at least 2), judged by separators alone."""
    # One pass in C that deletes all other bytes is far cheaper than a look at each line.
    left = body.translate(None, _all_bytes_but(separator)) + b"\n"
    return left == (separator * (width - 1) + b"\n") * left.count(b"\n")


@cache
def _all_bytes_but(separator: bytes) -> bytes:
    return bytes(byte for byte in range(256) if byte not in separator + b"\n")


@cache
def _match_partly_quoted(separator: bytes) -> re.Pattern[bytes]:
    """Returns a pattern that finds quoted text that is only a part of its field."""
    beside = b"[%b\n]" % re.escape(separator)
    return re.compile(b"%b(?:(?<!%b%b)|(?!%b))" % (_MARKER, beside, _MARKER, beside))


def _parse(body: bytes, separator: str, columns: Sequence[str]) -> pl.DataFrame | None:
    try:
        rows = pl.read_csv(
            body,
            has_header=False,
            # Text only: raw holds what was delivered, and a cast or a guess could lose some of it.
            schema=dict.fromkeys(columns, pl.String),
            separator=separator,
            quote_char='"' if b'"' in body else None,
            truncate_ragged_lines=True,
            extra_columns="ignore",
            # Surplus fields that reach this line are empty, so cutting them off loses nothing.
        )
    except pl.exceptions.PolarsError:
        return None
    # An empty field without quotes is null already. One with quotes (`""`) becomes null here, as on
    # the exact path.
    return rows.with_columns(pl.when(pl.all() != "").then(pl.all())) if b'""' in body else rows
