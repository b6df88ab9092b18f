"""The fast path of CSV: a block in which every line is a plain record, parsed by Polars.

A block is plain if it is valid UTF-8, all its lines end in the same way (LF or CRLF), none is blank, each is a whole
record with all the header's fields, what is more than those is empty, and quotes surround whole fields. Any other block
is left to `csv_records.py`, which reads the same meaning out of a plain one, line by line.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from lakehouse.sources.books import Limits
from lakehouse.sources.lines import line_count

_MARKER = "\x01"
"""Stands for a quoted field while fields are counted; a block that holds it is not plain."""


class Plain(NamedTuple):
    """The rows of a plain block, all text, empty as null; and how its lines end."""

    rows: pl.DataFrame
    end: bytes


def plain_rows(block: bytes, separator: str, columns: Sequence[str], limits: Limits) -> Plain | None:
    """The rows of a block; None if it is not plain."""
    end = _line_end(block)
    if end is None or _MARKER.encode() in block:
        return None
    body = block if end == b"\n" else block.replace(b"\r\n", b"\n")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if not _is_plain(pl.Series([text.removesuffix("\n")]), separator, len(columns), limits):
        return None
    rows = _parsed(body, separator, columns)
    return None if rows is None or rows.height != line_count(body) else Plain(rows, end)


def _line_end(block: bytes) -> bytes | None:
    """How all lines end; None if they differ or one is blank."""
    returns = block.count(b"\r")
    if returns and not block.count(b"\n") == block.count(b"\r\n") == returns:
        return None
    end = b"\r\n" if returns else b"\n"
    return None if block.startswith(end) or end * 2 in block else end


def _is_plain(text: pl.Series, separator: str, width: int, limits: Limits) -> bool:
    line = pl.col("line")
    lines = pl.LazyFrame({"line": text.str.split("\n").explode()})
    is_short = (line.str.len_bytes() <= limits.record_bytes).all()
    skeleton, is_quoted_well = line, pl.lit(True)
    if text.str.contains('"', literal=True).item():
        skeleton = line.str.replace_all(r'"(?:[^"]|"")*"', _MARKER)
        stray = f'"|[^{re.escape(separator)}]{_MARKER}|{_MARKER}[^{re.escape(separator)}]'
        is_quoted_well = ~pl.col("skeleton").str.contains(stray).any()
    fields = pl.col("skeleton").str.count_matches(separator, literal=True) + 1
    filled = pl.col("skeleton").str.strip_chars_end(separator).str.count_matches(separator, literal=True) + 1
    has_width = ((fields >= width) & (filled <= width)).all()
    checked = lines.with_columns(skeleton.alias("skeleton")).select(is_short & is_quoted_well & has_width)
    return bool(checked.collect().item())


def _parsed(body: bytes, separator: str, columns: Sequence[str]) -> pl.DataFrame | None:
    is_quoted = b'"' in body
    try:
        rows = pl.read_csv(
            body,
            has_header=False,
            schema=dict.fromkeys(columns, pl.String),
            separator=separator,
            quote_char='"' if is_quoted else None,
            truncate_ragged_lines=True,
            extra_columns="ignore",
        )
    except pl.exceptions.PolarsError:
        return None
    empty = pl.when(pl.all() != "").then(pl.all())
    return rows.with_columns(empty) if is_quoted else rows
