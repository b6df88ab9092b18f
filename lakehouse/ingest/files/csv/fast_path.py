r"""The fast path of CSV: a block in which every line is a plain record, parsed by Polars.

A block is plain if it is valid UTF-8, all its lines end in the same way (LF or CRLF), none is
blank, each is a whole record with all fields of the header or a comment, surplus fields are empty,
and quotes surround whole fields. It must not begin with a byte order mark, which is part of a value
below the header but which Polars would remove. `records.py` reads any other block; for a plain
one it gives the same rows, only slower.

Polars does not tell a quoted cell from one without quotes. So a block is not plain if that matters
for one of its cells: a quoted null mark, a quoted cell that begins with a blank that `trim` would
take, an escape such as `\n` within quotes.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import polars as pl

from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.csv.escapes import hide_escapes, replace_escapes
from lakehouse.ingest.files.text.lines import BYTE_ORDER_MARK
from lakehouse.ingest.limits import IngestLimits

_MARKER = b"\x01"
"""Replaces a quoted field while fields are counted; a block with this byte is not plain."""


class PlainRows(NamedTuple):
    """The rows of a plain block as text, and what else is in it.

    Attributes:
        rows: the rows; empty fields are null.
        end: the line end.
        lines: how many lines it has, with comments.
        comments: how many lines are comments.
        first_comment: which line is the first comment, from 0; -1 if there is none.
    """

    rows: pl.DataFrame
    end: bytes
    lines: int
    comments: int = 0
    first_comment: int = -1


def parse_plain_block(
    block: bytes,
    dialect: CsvDialect,
    columns: Sequence[str],
    limits: IngestLimits,
    named: int | None = None,
) -> PlainRows | None:
    """Parses the rows of a block; returns None if it is not plain.

    Args:
        block: whole lines.
        dialect: how they are split.
        columns: all columns that are known so far.
        limits: the limits of the file.
        named: how many of them each line must have; None for all.
    """
    end = find_line_end(block)
    if end is None or _MARKER in block or block.startswith(BYTE_ORDER_MARK):
        return None
    # From here on LF alone ends a line, so the checks below need to know only one end.
    body = block if end == b"\n" else block.replace(b"\r\n", b"\n")
    # Most blocks are shorter than the longest record allowed, and then no line needs measuring.
    if not is_utf_8(body) or _has_long_line(body, limits):
        return None
    lines = count_lf_lines(body)
    body, comments, first_comment = drop_comments(body, dialect)
    has_escapes = bool(dialect.escape) and dialect.escape_byte in body
    body = _remove_outer_blanks(hide_escapes(body, dialect) or b"", dialect)
    if not body or not _is_plain(body, dialect, named or len(columns), len(columns)):
        return None
    rows = _parse(body, dialect, columns)
    # Another count means a record lost, joined or split (law 1): Polars does not have the last say.
    if rows is None or rows.height != lines - comments:
        return None
    rows = replace_escapes(rows, body, dialect) if has_escapes else rows
    return PlainRows(rows, end, lines, comments, first_comment)


def find_line_end(block: bytes) -> bytes | None:
    """Returns the end that all lines share; None if they differ."""
    if b"\r" not in block:
        return b"\n"
    returns = block.count(b"\r")
    # With equal counts every CR and every LF is half of a CRLF; a lone one would be another end.
    return b"\r\n" if block.count(b"\n") == block.count(b"\r\n") == returns else None


def is_utf_8(body: bytes) -> bool:
    """Returns whether a block is valid UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def count_lf_lines(body: bytes) -> int:
    """Returns how many lines a block has that LF alone ends."""
    return body.count(b"\n") + (not body.endswith(b"\n"))


def drop_comments(body: bytes, dialect: CsvDialect) -> tuple[bytes, int, int]:
    """Returns a block without lines that begin as comments, their number, and the first one's.

    A line within a quoted cell is dropped too; the quote before it then has no end in its own line,
    so the block is not plain.
    """
    mark = dialect.comment_bytes
    if not mark or not (body.startswith(mark) or b"\n" + mark in body):
        return body, 0, -1
    lines = body.split(b"\n")
    comments = [number for number, line in enumerate(lines) if line.startswith(mark)]
    left = [line for line in lines if not line.startswith(mark)]
    return b"\n".join(left), len(comments), comments[0]


def _has_long_line(body: bytes, limits: IngestLimits) -> bool:
    return (
        len(body) > limits.record_bytes and max(map(len, body.split(b"\n"))) > limits.record_bytes
    )


@cache
def _match_outer_blanks(dialect: CsvDialect) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Returns patterns for quoted fields with blanks outside, and with blanks just inside."""
    quoted, blank = _match_quoted(dialect).pattern, b"[%b]*" % dialect.blanks.encode()
    separator, quote = re.escape(dialect.separator).encode(), re.escape(dialect.quote_byte)
    outside = re.compile(
        b"((?:^|%b))%b(%b)%b(?=%b|$)" % (separator, blank, quoted, blank, separator), re.MULTILINE
    )
    some = b"[%b]" % dialect.blanks.encode()
    inside = re.compile(
        b"(?:^|%b)%b%b|%b%b(?:%b|$)" % (separator, quote, some, some, quote, separator),
        re.MULTILINE,
    )
    return outside, inside


def _remove_outer_blanks(body: bytes, dialect: CsvDialect) -> bytes:
    """Returns a block without blanks around quotes; b"" if `trim` would take some within quotes."""
    if not dialect.trim or not dialect.quote or dialect.quote_byte not in body:
        return body
    outside, inside = _match_outer_blanks(dialect)
    bare = outside.sub(rb"\1\2", body)
    return b"" if inside.search(bare) else bare


def _is_plain(body: bytes, dialect: CsvDialect, named: int, width: int) -> bool:
    separator, quote = dialect.separator.encode(), dialect.quote_byte
    skeleton = body
    if quote and quote in body:
        skeleton = _match_quoted(dialect).sub(_MARKER, body)
        if not _has_plain_quotes(body, skeleton, dialect):
            return False
    body = skeleton.removesuffix(b"\n")
    # One column has no separators, so this quick look would miss a blank line.
    if width > 1 and _is_even(body, separator, width):
        return True
    # `most` counts all separators of a line, `least` those before its last value: the fields
    # between the two are empty, so any width from one to the other is as good as the header's. A
    # line that ends behind the columns with names has null in those without.
    lines = body.split(b"\n")
    if dialect.trim and not all(line.strip(dialect.blanks.encode()) for line in lines):
        return False
    counts = ((line.count(separator), line.rstrip(separator).count(separator)) for line in lines)
    return b"" not in lines and all(
        most >= named - 1 and width - 1 >= least for most, least in counts
    )


def _has_plain_quotes(body: bytes, skeleton: bytes, dialect: CsvDialect) -> bool:
    """Returns whether all quotes surround whole fields, and Polars reads these as they are meant.

    Args:
        body: a block with quotes.
        skeleton: the same with a marker in place of each quoted field.
        dialect: the dialect.
    """
    quote, escape = dialect.quote_byte, dialect.escape_byte
    # A quote that is left opens a field that goes on in the next line, or is an ordinary character.
    if quote in skeleton:
        return False
    if _match_partly_quoted(dialect.separator.encode()).search(b"\n%b\n" % skeleton):
        return False
    # Blanks without quotes are null, and quotes without text are not.
    if dialect.trim and dialect.empty_text and quote * 2 in body:
        return False
    # Within quotes fewer escapes are escapes.
    if escape and skeleton.count(escape) != body.count(escape):
        return False
    return not any(quote + null.encode() + quote in body for null in dialect.null_cells)


def _is_even(body: bytes, separator: bytes, width: int) -> bool:
    """Returns whether each line has `width` fields (at least 2), judged by separators alone."""
    # One pass in C that deletes all other bytes is far cheaper than a look at each line.
    left = body.translate(None, _all_bytes_but(separator)) + b"\n"
    return left == (separator * (width - 1) + b"\n") * left.count(b"\n")


@cache
def _all_bytes_but(separator: bytes) -> bytes:
    return bytes(byte for byte in range(256) if byte not in separator + b"\n")


@cache
def _match_quoted(dialect: CsvDialect) -> re.Pattern[bytes]:
    quote = re.escape(dialect.quote_byte)
    return re.compile(
        b"%b[^%b\n]*(?:%b[^%b\n]*)*%b" % (quote, quote, quote * 2, quote, quote)
        if quote
        else b"(?!)"
    )


@cache
def _match_partly_quoted(separator: bytes) -> re.Pattern[bytes]:
    """Returns a pattern that finds quoted text that is only a part of its field."""
    beside = b"[%b\n]" % re.escape(separator)
    return re.compile(b"%b(?:(?<!%b%b)|(?!%b))" % (_MARKER, beside, _MARKER, beside))


def _parse(body: bytes, dialect: CsvDialect, columns: Sequence[str]) -> pl.DataFrame | None:
    has_quotes = bool(dialect.quote) and dialect.quote_byte in body
    try:
        rows = pl.read_csv(
            body,
            has_header=False,
            # Text only: raw holds what was delivered, and a cast or a guess could lose some of it.
            schema=dict.fromkeys(columns, pl.String),
            separator=dialect.separator,
            quote_char=dialect.quote if has_quotes else None,
            null_values=sorted(dialect.null_cells) or None,
            truncate_ragged_lines=True,
            extra_columns="ignore",
            missing_columns="insert",
            # Surplus fields that reach this line are empty, so cutting them off loses nothing.
        )
    except pl.exceptions.PolarsError:
        return None
    if dialect.trim:
        trimmed = pl.all().str.strip_chars(dialect.blanks)
        nulls = ["", *sorted(dialect.null_cells)]
        return rows.with_columns(trimmed).with_columns(
            pl.when(~pl.all().is_in(nulls)).then(pl.all())
        )
    # An empty field without quotes is null already. One with quotes (`""`) becomes null here, as on
    # the exact path, unless it is an empty text.
    if has_quotes and not dialect.empty_text and dialect.quote_byte * 2 in body:
        return rows.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return rows
