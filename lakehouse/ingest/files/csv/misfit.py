"""Whether a dialect fits a CSV file, judged by its first lines, before a record is read.

A file in another dialect would land as one wide column, or cut at the wrong places. Such a file is
refused whole, with the cause and the remedy. The messages count fields and quote no value, because
the first line may be a record with personal data.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.csv.fields import decode_line
from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.files.text.lines import split_lines
from lakehouse.ingest.files.text.preamble import TextContent
from lakehouse.ingest.limits import DEFAULT_LIMITS

_CANDIDATES = ",;\t|^~\x01\x1f"
_SAMPLE_BYTES = 1 << 16
_SAMPLE_LINES = 50
_ENOUGH_LINES = 3


def read_sample(path: Path, content: TextContent, dialect: CsvDialect) -> list[bytes]:
    """Returns some of the first lines that count, as they are; the first is the header if any."""
    # Read anew, and not taken from the first block: its size must not decide about the file.
    with path.open("rb") as file:
        file.seek(content.position)
        size = _SAMPLE_BYTES if content.stop is None else content.stop - content.position
        head = file.read(min(size, _SAMPLE_BYTES))
    lines = list(split_lines(head, 1, DEFAULT_LIMITS))
    if len(head) == _SAMPLE_BYTES and len(lines) > 1:
        lines.pop()
    found = [line.content for line in lines if line.size and not dialect.is_comment(line.content)]
    return found[: _SAMPLE_LINES + 1]


def refuse_misfit(lines: Sequence[bytes], dialect: CsvDialect, *, is_declared: bool) -> None:
    """Refuses a file with a header that does not fit the dialect.

    Args:
        lines: the header and some of the lines behind it.
        dialect: how it is to be read.
        is_declared: whether the declaration names the separator.

    Raises:
        RefusedError: another separator fits, names are within other quotes, or the first line is
            no header.
    """
    header, records = lines[0], lines[1:]
    _refuse_quotes(header, dialect)
    width = _count_fields(header, dialect.separator, dialect)
    for other in _CANDIDATES.replace(dialect.separator, ""):
        count = _count_fields(header, other, dialect)
        same = sum(_count_fields(record, other, dialect) == count for record in records)
        fits = same * 2 > len(records) if width == 1 else bool(records) and same == len(records)
        if count > 1 and (fits or not records) and (width == 1 or (not is_declared and fits)):
            if width > count:
                continue
            raise RefusedError(
                f"the separator does not fit: by {dialect.separator!r} the first line has "
                f"{_count(width)}, by {other!r} it has {count}, and so have {same} of the next "
                f"{len(records)} lines. Next: declare files=Files(separator={other!r}) if that "
                "separates cells"
            )
    widths = {_count_fields(record, dialect.separator, dialect) for record in records}
    if width == 1 and len(records) >= _ENOUGH_LINES and len(widths) == 1 and max(widths) > 1:
        raise RefusedError(
            f"the first line is no header: it has 1 field, and the next {len(records)} lines have "
            f"{max(widths)}. Next: declare files=Files(skip_lines=…) or Files(comment=…) for what "
            "comes before the header"
        )


def hint_header(lines: Sequence[bytes], dialect: CsvDialect, required: Sequence[str]) -> str:
    """Returns what to declare for a file whose first line names no required column."""
    wanted = {name.strip().casefold() for name in required}
    strip = (dialect.quote or "") + " \t"
    for number, line in enumerate(lines[1:], 1):
        cells = decode_line(line).split(dialect.separator)
        if wanted <= {cell.strip(strip).casefold() for cell in cells}:
            return (
                f"Next: {number} lines before one that names all of them are neither blank nor "
                "comments; declare files=Files(skip_lines=…), or `comment` if it begins each"
            )
    return "Next: if no line names the columns, declare files=Files(header=False)"


def refuse_other_width(lines: Sequence[bytes], dialect: CsvDialect, width: int) -> None:
    """Refuses a file without a header of which no line has the declared number of fields.

    Raises:
        RefusedError: none has.
    """
    plain = [line for line in lines if not dialect.quote_byte or dialect.quote_byte not in line]
    counts = [_count_fields(line, dialect.separator, dialect) for line in plain]
    if not counts or any(count >= width for count in counts):
        return
    others = {
        other: count
        for other in _CANDIDATES.replace(dialect.separator, "")
        if (count := _count_fields(plain[0], other, dialect)) > 1
    }
    by_others = "".join(f"; by {other!r} it has {count}" for other, count in others.items())
    raise RefusedError(
        f"no line has the declared {width} columns: by {dialect.separator!r} the first one has "
        f"{_count(counts[0])}{by_others}. Next: correct `separator` or `names` of files=Files(…)"
    )


def _refuse_quotes(header: bytes, dialect: CsvDialect) -> None:
    """Refuses a header whose names are within quotes that are not those of the dialect."""
    cells = [cell for cell in header.split(dialect.separator.encode()) if cell.strip()]
    for quote in (b'"', b"'"):
        is_own = quote == dialect.quote_byte
        within = [cell for cell in cells if _is_within(cell.strip(), quote)]
        if is_own and not dialect.trim and any(cell != cell.strip() for cell in within):
            raise RefusedError(
                "names in the header have blanks around their quotes. "
                "Next: declare files=Files(trim=True)"
            )
        if not is_own and within and len(within) == len(cells):
            declared = "none is declared" if dialect.quote is None else f"{dialect.quote} is read"
            raise RefusedError(
                f"the names in the header are within the quotes {quote.decode()}, and {declared}. "
                f"Next: declare files=Files(quote={quote.decode()!r})"
            )


def _is_within(cell: bytes, quote: bytes) -> bool:
    return len(cell) > 1 and cell.startswith(quote) and cell.endswith(quote)


@cache
def _match_quoted(quote: bytes) -> re.Pattern[bytes]:
    return re.compile(b"%b[^%b]*(?:%b|$)" % ((re.escape(quote),) * 3) if quote else b"(?!)")


def _count_fields(line: bytes, separator: str, dialect: CsvDialect) -> int:
    """Returns how many fields a line has by a separator, without what is within quotes."""
    bare = _match_quoted(dialect.quote_byte).sub(b"", line)
    if dialect.escape:
        bare = bare.replace(dialect.escape_byte + separator.encode(), b"")
    return bare.count(separator.encode()) + 1


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"
