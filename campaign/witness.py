"""An independent reader of broken files, which knows what the lake must hold of each landed file.

It uses nothing of the engine: Python's gzip, zipfile and csv, and DuckDB for Parquet. Where it
cannot judge, it is silent.
"""

import csv
import gzip
import io
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campaign.broken import MARK, REQUIRED, BrokenFile

_LINE = re.compile(rb"[^\r\n]+")
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    MemoryError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,
)
_TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class LandedFile:
    """What the lake holds of a file.

    Attributes:
        rows: number and values of each row.
        dead: number, reason and payload of each dead letter; without a number for the whole file.
        columns: the columns of its table.
    """

    rows: Sequence[tuple[int, Sequence[str]]]
    dead: Sequence[tuple[int | None, str, str]]
    columns: Sequence[str]

    @property
    def is_refused(self) -> bool:
        """Whether the whole file is one dead letter."""
        return not self.rows and [offset for offset, *_ in self.dead] == [None]


def parse_landed_file(found: Mapping[str, Any]) -> LandedFile:
    """Parses what the child that landed a file wrote about it."""
    return LandedFile(found["rows"], found["dead"], found["columns"])


def find_complaints(file: BrokenFile, found: LandedFile) -> Iterator[str]:
    """Finds what landing lost, doubled or invented."""
    plain, suffix = decompress(file)
    if found.is_refused:
        yield from _of_refused(file, found, plain, suffix)
        return
    numbers = sorted(
        offset or 0 for offset in (*(n for n, _ in found.rows), *(n for n, *_ in found.dead))
    )
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its records are numbered {numbers[:9]} … {numbers[-3:]}"
    if plain is None:
        yield "it was landed, although it cannot be unpacked"
    elif suffix == ".parquet":
        yield from _of_parquet(plain, found)
    else:
        yield from _of_text(plain, suffix, found, len(numbers))


def decompress(file: BrokenFile) -> tuple[bytes | None, str]:
    """Returns the plain bytes and the suffix of their format; None if they cannot be unpacked."""
    name = file.name
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(file.content)) as zipped:
                inner = [one for one in zipped.infolist() if not one.is_dir()]
                return (
                    (zipped.read(inner[0]), _suffix(inner[0].filename))
                    if len(inner) == 1
                    else (None, "")
                )
        if name.endswith(".gz"):
            return gzip.decompress(file.content), _suffix(name.removesuffix(".gz"))
    except _BROKEN:
        return None, ""
    return file.content, _suffix(name)


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2]}" if "." in name else ""


def _of_refused(
    file: BrokenFile, found: LandedFile, plain: bytes | None, suffix: str
) -> Iterator[str]:
    _, reason, payload = found.dead[0]
    if payload.encode("latin-1") != file.content[: 1 << 20]:
        yield f"its dead letter holds {len(payload)} bytes of {len(file.content)}"
    if plain is None or suffix not in _TABLES:
        return
    read = _csv(plain, _TABLES[suffix])
    has_columns = read is not None and (
        file.table == "loose" or set(REQUIRED) <= {name.strip() for name in read[0]}
    )
    if read is not None and has_columns and _is_plain_header(read[0]) and len(read) > 1:
        yield f"refused, although it can be read: {reason}"


def _is_plain_header(names: Sequence[str]) -> bool:
    return (
        all(re.fullmatch(r"[a-z][a-z0-9]{0,20}", name) for name in names)
        and len(set(names)) == len(names) < 4000
    )


def _of_parquet(plain: bytes, found: LandedFile) -> Iterator[str]:
    count = _parquet_rows(plain)
    if count is not None and count != len(found.rows):
        yield f"DuckDB reads {count} rows, {len(found.rows)} were landed"


def _parquet_rows(plain: bytes) -> int | None:
    from tempfile import NamedTemporaryFile  # noqa: PLC0415

    import duckdb  # noqa: PLC0415

    with NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        file.write(plain)
        file.flush()
        try:
            return len(connection.execute(f"SELECT * FROM read_parquet('{file.name}')").fetchall())
        except duckdb.Error:
            return None


def _of_text(plain: bytes, suffix: str, found: LandedFile, records: int) -> Iterator[str]:
    yield from _of_marks(plain, _header(plain, _TABLES[suffix]) if suffix in _TABLES else "", found)
    if suffix in _TABLES:
        read = _csv(plain, _TABLES[suffix])
        if read is not None and _is_sound(read) and not found.dead:
            yield from _of_values(_without_repeated_header(read), found)
    elif suffix not in _TABLES and plain.strip() != b"[]":
        lines = [one for one in _LINE.findall(plain.removeprefix(b"\xef\xbb\xbf")) if one.strip()]
        # Of a damaged file that is neither clearly lines nor a document, the marks are judged.
        is_lines = 2 * sum(map(_is_object, lines)) > len(lines)
        if is_lines and len(lines) != records:
            yield f"it has {len(lines)} lines, {records} records were found"


def _is_object(line: bytes) -> bool:
    """Returns whether a line is one object of JSON."""
    try:
        return line.startswith(b"{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _header(plain: bytes, separator: str) -> str:
    """Returns the first line as a record; it names the columns."""
    text = plain.removeprefix(b"\xef\xbb\xbf").decode("latin-1").lstrip("\r\n")
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    reader = csv.reader(iter(lines), delimiter=separator)
    next(reader, None)
    return "".join(lines[: reader.line_num])


def _of_marks(plain: bytes, header: str, found: LandedFile) -> Iterator[str]:
    """Checks that rows and dead letters hold each mark as often as the file below its header."""
    wanted = Counter(MARK.findall(plain.decode("latin-1"))) - Counter(MARK.findall(header))
    held = Counter(
        MARK.findall(
            "\n".join([*("\t".join(v) for _, v in found.rows), *(p for *_, p in found.dead)])
        )
    )
    for what, some in (("lost", wanted - held), ("doubled", held - wanted)):
        if some:
            yield f"{some.total()} marks are {what}, for example {min(some)}"


def _csv(plain: bytes, separator: str) -> list[list[str]] | None:
    """Returns the records as Python's csv module reads them, without blank lines; None in doubt."""
    try:
        text = plain.removeprefix(b"\xef\xbb\xbf").decode()
        read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    records = [record for record in read if record]
    return records if records and "\0" not in text else None


def _without_repeated_header(read: list[list[str]]) -> list[list[str]]:
    """Returns the records without those that equal the header, which are no rows."""
    header = read[0]
    return [header, *(one for one in read[1:] if one != header or len(header) == 1)]


def _is_sound(read: list[list[str]]) -> bool:
    """Returns whether each record has the fields of the header."""
    return all(len(record) == len(read[0]) for record in read) and _is_plain_header(read[0])


def _of_values(read: list[list[str]], found: LandedFile) -> Iterator[str]:
    """Checks every value of every record in the order of the file; empty ones are null."""
    wanted = [sorted(value for value in record if value) for record in read[1:]]
    landed = [sorted(values) for _, values in sorted(found.rows)]
    if wanted != landed:
        place = next(
            (n for n, (one, other) in enumerate(zip(wanted, landed, strict=False)) if one != other),
            len(landed),
        )
        yield (
            f"{len(wanted)} records and {len(landed)} rows differ from record {place + 1} on: "
            f"{[*wanted, []][place]}"
        )
