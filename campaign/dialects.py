"""Files of every format and dialect, by seed, with the rows that they hold.

Each file comes with the declaration that reads it. Each row carries a mark that is unique among all
files, so it can be found wherever it ended up.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from xml.sax.saxutils import escape as escape_xml

import polars as pl

from campaign.json_layouts import LAYOUTS
from lakehouse.tables.files import Files

COLUMNS = ("mark", "day", "amount", "city", "note")
Rows = list[tuple[str | None, ...]]
_ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le")
_CITIES = ("Oslo", "Bern", "Köln", "São Paulo", "Orléans", "Graz", "Łódź", "北京")
_NOTES = (
    *("plain", "two words", "a, b", "c; d", "e | f", 'six " inches', "it's", "# no comment"),
    *("tab\there", "two\nlines", "c:\\dir\\", "'quoted'", '"so"', "0.10", "00123", "N/A", "-"),
)
_PREAMBLE = ("Report of all sales", "Account DE12 3456", "Created: 2024-06-01", "", "Page 1")
_FOOTER = ("Total 12 records", "End of report")


@dataclass(frozen=True)
class DialectFile:
    """A file with its declaration and its truth.

    Attributes:
        name: its name in landing.
        content: its bytes.
        files: the declaration that reads it.
        rows: what it holds, as text in the order of `COLUMNS`; None for null.
        how: the format, and what is special about the file.
        encoding: the encoding of its text; None for binary formats.
    """

    name: str
    content: bytes
    files: Files
    rows: Rows
    how: tuple[str, ...]
    encoding: str | None = None


def build_dialect_file(seed: int, number: int, kinds: Sequence[str] = ()) -> DialectFile:
    """Builds the file of a number: always the same for the same seed.

    Args:
        seed: the seed.
        number: the number of the file; its marks hold it.
        kinds: the formats to choose from; all by default.
    """
    random = Random(f"dialect {seed} {number}")
    kind = random.choice(kinds or WEIGHTED_KINDS)
    return _BUILDERS[kind](random, number)


def _mark(number: int, row: int) -> str:
    return f"q{number:06}x{row:03}a"


def _invent_rows(random: Random, number: int, is_allowed: Callable[[str], bool]) -> Rows:
    """Returns rows whose texts the dialect can hold; a note is null at times."""
    notes = [note for note in _NOTES if is_allowed(note)]
    cities = [city for city in _CITIES if is_allowed(city)]
    return [
        (
            _mark(number, row),
            f"2024-{random.randint(1, 12):02}-{random.randint(1, 28):02}",
            f"{random.randint(-5_000, 900_000) / 100:.2f}",
            random.choice(cities),
            None if random.random() < 0.2 else random.choice(notes),
        )
        for row in range(random.randint(4, 40))
    ]


def _is_encodable(encoding: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return False
        return True

    return check


def _build_csv(random: Random, number: int) -> DialectFile:
    separator, encoding = random.choice(",,;;\t|"), random.choice(_ENCODINGS)
    quote = random.choice(['"', '"', '"', "'", None])
    escape = "\\" if random.random() < 0.15 else None
    null = random.choice(["", "", "", "NA", "\\N" if escape is None else "NULL"])
    comment = "#" if random.random() < 0.1 else None
    end = random.choice(["\n", "\n", "\r\n"])
    has_header = random.random() < 0.85
    above = random.randint(1, len(_PREAMBLE)) if has_header and random.random() < 0.2 else 0
    below = random.randint(1, len(_FOOTER)) if random.random() < 0.1 else 0
    fits = _is_encodable(encoding)

    def is_allowed(text: str) -> bool:
        odd = {separator, "\n", "\r", *([escape] if escape else [])}
        is_plain = not odd & set(text) and not text.startswith(("'", '"'))
        is_null = text in (null, "N/A", "-", "NULL") and text == null
        return fits(text) and not is_null and (quote is not None or is_plain)

    rows = _invent_rows(random, number, is_allowed)
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
        doublequote=escape is None,
        escapechar=escape,
        lineterminator=end,
    )
    for line in _PREAMBLE[:above]:
        text.write(line + end)
    if has_header:
        writer.writerow(COLUMNS)
    for row in rows:
        if comment and random.random() < 0.2:
            text.write(f"# a remark{end}")
        writer.writerow([null if value is None else value for value in row])
    for line in _FOOTER[:below]:
        text.write(line + end)
    options: dict[str, object] = {
        "separator": None if separator == "," else separator,
        "encoding": encoding,
        "quote": quote,
        "escape": escape,
        "skip_lines": above,
        "skip_last_lines": below,
        "comment": comment,
        "nulls": (null,) if null else (),
        "header": has_header,
        "names": () if has_header else COLUMNS,
    }
    return DialectFile(
        f"{number:06}.csv",
        text.getvalue().encode(encoding),
        Files(**options),  # type: ignore[arg-type]  # each option has its own type
        rows,
        ("csv", *_describe(Files(**options))),  # type: ignore[arg-type]
        encoding,
    )


def _build_fixed(random: Random, number: int) -> DialectFile:
    widths = {"mark": 14, "day": 12, "amount": 14, "city": 12, "note": 24}
    encoding = random.choice(_ENCODINGS)
    fits = _is_encodable(encoding)
    rows = _invent_rows(
        random, number, lambda text: fits(text) and "\n" not in text and "\t" not in text
    )
    has_header = random.random() < 0.5
    lines = [COLUMNS, *rows] if has_header else rows
    text = "".join(
        "".join(
            (value or "").ljust(width) for value, width in zip(line, widths.values(), strict=True)
        )
        + "\n"
        for line in lines
    )
    files = Files(format="fixed", widths=widths, header=has_header, encoding=encoding)
    name = f"{number:06}.txt"
    return DialectFile(name, text.encode(encoding), files, rows, ("fixed", encoding), encoding)


def _build_json(random: Random, number: int) -> DialectFile:
    rows = _invent_rows(random, number, lambda _: True)
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    layout = random.choice(list(LAYOUTS))
    is_ascii = random.random() < 0.5

    def dump(value: object, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=is_ascii, indent=indent)

    text, path = LAYOUTS[layout](records, dump)
    suffix = "jsonl" if layout == "lines" else "json"
    files = Files(format="json", records=path) if path else Files()
    return DialectFile(
        f"{number:06}.{suffix}", text.encode(), files, rows, ("json", layout), "utf-8"
    )


def _build_xml(random: Random, number: int) -> DialectFile:
    rows = _invent_rows(random, number, lambda _: True)
    encoding = random.choice(["utf-8", "utf-16", "utf-8"])
    lines = [
        "  <sale>"
        + "".join(
            f"<{name}>{escape_xml(value)}</{name}>"
            for name, value in zip(COLUMNS, row, strict=True)
            if value is not None
        )
        + "</sale>"
        for row in rows
    ]
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    text = "\n".join([head, "<sales>", *lines, "</sales>", ""])
    files = Files(records=random.choice(["sales.sale", "sales.sale[]"]))
    return DialectFile(
        f"{number:06}.xml", text.encode(encoding), files, rows, ("xml", encoding), encoding
    )


def _build_excel(random: Random, number: int) -> DialectFile:
    import xlsxwriter  # noqa: PLC0415 - a development dependency that only this format needs

    rows = _invent_rows(random, number, lambda text: "\n" not in text)
    above = random.choice([0, 0, 0, 3])
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet("Sales")
        for place in range(above):
            sheet.write_string(place, 0, _PREAMBLE[place])
        for place, row in enumerate([COLUMNS, *rows], above):
            for column, value in enumerate(row):
                if value is not None:
                    sheet.write_string(place, column, value)
    files = Files(skip_lines=above)
    return DialectFile(
        f"{number:06}.xlsx", content.getvalue(), files, rows, ("excel", f"skip_lines={above}")
    )


def _build_frame(kind: str) -> Callable[[Random, int], DialectFile]:
    def build(random: Random, number: int) -> DialectFile:
        rows = _invent_rows(random, number, lambda _: True)
        frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
        content = _FRAME_WRITERS[kind](frame)
        return DialectFile(f"{number:06}.{kind}", content, Files(), rows, (kind,))

    return build


def _write_orc(frame: pl.DataFrame) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - a development dependency that only this format needs
    from pyarrow import orc  # noqa: PLC0415

    content = io.BytesIO()
    orc.write_table(pa.table(frame.to_dict(as_series=False)), content)
    return content.getvalue()


def _write(method: str) -> Callable[[pl.DataFrame], bytes]:
    def write(frame: pl.DataFrame) -> bytes:
        content = io.BytesIO()
        getattr(frame, method)(content)
        return content.getvalue()

    return write


_FRAME_WRITERS: Mapping[str, Callable[[pl.DataFrame], bytes]] = {
    "parquet": _write("write_parquet"),
    "arrow": _write("write_ipc"),
    "avro": _write("write_avro"),
    "orc": _write_orc,
}
_BUILDERS: Mapping[str, Callable[[Random, int], DialectFile]] = {
    "csv": _build_csv,
    "fixed": _build_fixed,
    "json": _build_json,
    "xml": _build_xml,
    "excel": _build_excel,
    **{kind: _build_frame(kind) for kind in _FRAME_WRITERS},
}
WEIGHTED_KINDS = (*(["csv"] * 8), *(["json"] * 4), *_BUILDERS)
"""The formats, the commonest ones several times."""


def _describe(files: Files) -> list[str]:
    return [f"{option}={value!r}" for option, value in files.list_changed().items()]
