r"""Escapes on the fast path of CSV: hidden before Polars splits a block, and replaced afterwards.

An escaped quote or separator would end a cell for Polars, which knows no escapes. So escapes that
matter for the structure become single bytes that the block does not hold. The others, such as
`\n`, are replaced in the cells.
"""

import polars as pl

from lakehouse.ingest.files.csv.dialect import CsvDialect

# Bytes that stand for an escaped escape, quote and separator.
_ESCAPE, _QUOTE, _SEPARATOR = "\x02", "\x03", "\x04"
_HIDDEN = tuple(one.encode() for one in (_ESCAPE, _QUOTE, _SEPARATOR))


def hide_escapes(body: bytes, dialect: CsvDialect) -> bytes | None:
    """Returns a block in which no escape matters for its structure; None if that cannot be.

    Args:
        body: the block, with LF as its line end.
        dialect: the dialect.
    """
    escape = dialect.escape_byte
    if not escape or escape not in body:
        return body
    others = dialect.nulls - {dialect.null_mark}
    if any(one in body for one in _HIDDEN) or any(escape.decode() in null for null in others):
        return None
    separator, quote = dialect.separator.encode(), dialect.quote_byte
    # A run of escapes pairs up from its left, and so does `replace`.
    body = body.replace(escape * 2, _HIDDEN[0])
    if quote:
        body = body.replace(escape + quote, _HIDDEN[1])
    # An escaped line end joins two lines; only the exact path reads such a record.
    if escape + b"\n" in body or body.endswith(escape):
        return None
    if dialect.trim and any(escape + one.encode() in body for one in dialect.blanks):
        return None
    # Within quotes an escape before a separator is no escape, so it stays where there are quotes.
    if escape + separator in body:
        if quote and quote in body:
            return None
        body = body.replace(escape + separator, _HIDDEN[2])
    return body


def replace_escapes(rows: pl.DataFrame, body: bytes, dialect: CsvDialect) -> pl.DataFrame:
    """Returns rows with what each escape stands for.

    Args:
        rows: the rows of the block.
        body: the block as `hide_escapes` returned it; it held an escape before.
        dialect: the dialect.
    """
    escape = dialect.escape or ""
    stands_for = {escape + letter: text for letter, text in dialect.escapes.items()}
    stands_for |= {_ESCAPE: escape, _QUOTE: dialect.quote or "", _SEPARATOR: dialect.separator}
    found = {mark: text for mark, text in stands_for.items() if mark.encode() in body}
    if not found:
        return rows
    return rows.with_columns(pl.all().str.replace_many(list(found), list(found.values())))
