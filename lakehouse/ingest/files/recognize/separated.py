"""Text with separators, of fixed width, or of one column: the declaration that reads it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lakehouse.ingest.files.recognize.dialects import Dialect, Row, Split, rank_dialects, split_rows
from lakehouse.ingest.files.recognize.fixed_width import recognize_fixed_width
from lakehouse.ingest.files.recognize.recognized import Recognized
from lakehouse.ingest.files.recognize.sample import Sample
from lakehouse.ingest.files.recognize.table_place import (
    Place,
    count_last_lines,
    find_null_marks,
    find_place,
    find_weak_marks,
)
from lakehouse.tables.files import Files, Format
from lakehouse.wording import format_count

_NEARLY_ALL = 0.9
_CLEAR = 1.1
"""The best dialect has to be better than another one by this factor."""

_MANY_QUOTED = 0.5
"""So many quoted cells for each record are a habit of the program that wrote the file."""

_SHORT = 1 << 16
"""How many characters are tried with every dialect before all of them are."""

_DECLARED_SEPARATOR = re.compile(r"\"?sep=([^\r\n\"])\"?\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class _Text:
    """A text file: its beginning decoded, its end behind that, and where both come from."""

    text: str
    tail: str | None
    sample: Sample
    encoding: str


def recognize_text(
    text: str, tail: str | None, sample: Sample, encoding: str, expected: Collection[str]
) -> Recognized | None:
    """Returns what a text file looks like; None if it cannot be told.

    Args:
        text: the beginning of the file, decoded.
        tail: its end behind that, empty if there is no more; None if it is unknown.
        sample: the file.
        encoding: the encoding of the text.
        expected: the names of the declared columns, if any are known.
    """
    is_whole = sample.is_whole
    if not text.strip():
        return None
    if not is_whole:
        # The last line may be cut.
        text = text[: text.rfind("\n") + 1] or text
    file = _Text(text, tail, sample, encoding)
    told = _DECLARED_SEPARATOR.match(text)
    ranked = _rank(text, is_whole=is_whole)
    if told:
        ranked = [split for split in ranked if split.dialect.separator == told[1]]
    if not ranked:
        fixed = recognize_fixed_width(text, encoding)
        return fixed or _recognize_single(file, expected)
    best = ranked[0]
    rivals = [
        split
        for split in ranked[1:]
        if split.dialect.separator != best.dialect.separator and split.score * _CLEAR > best.score
    ]
    doubts = [
        f"{_name(split.dialect.separator)} may separate the cells, too" for split in rivals[:1]
    ]
    is_odd = best.cover * len(best.body) < _NEARLY_ALL * len(best.rows)
    if is_odd and (fixed := recognize_fixed_width(text, encoding)):
        return fixed
    if best.dialect.separator in " :":
        if fixed := recognize_fixed_width(text, encoding):
            return fixed
        doubts.append(f"{_name(best.dialect.separator)} also stands within values")
    doubts += _doubt_quotes(best, text)
    return _declare(best, file, expected, doubts)


def _doubt_quotes(split: Split, text: str) -> list[str]:
    """Returns what may be quotes or escapes and is read as part of values."""
    dialect = split.dialect
    cells = [cell for row in split.body for cell in row.cells]
    doubts = []
    if dialect.quote == '"' and any(cell[:1] == cell[-1:] == "'" and cell[1:] for cell in cells):
        doubts.append("`'` around cells may be a quote")
    if dialect.quote == '"' and _are_quotes_needless(text, dialect.separator, len(split.body)):
        doubts.append('`"` around some cells may be part of them')
    if dialect.escape is None and "\\\\" in text:
        doubts.append("doubled backslashes may be escapes")
    return doubts


def _are_quotes_needless(text: str, separator: str, records: int) -> bool:
    """Returns whether few cells are within quotes, and nothing in any of them needs these.

    Most programs quote what has to be quoted, or a whole column. A lone `"so"` may be a word.
    """
    mark = re.escape(separator)
    cells = re.findall(rf'(?m)(?:^|{mark})"((?:[^"]|"")*)"(?={mark}|\r|$)', text)
    is_needed = any('"' in cell or separator in cell or "\n" in cell for cell in cells)
    return any(cells) and not is_needed and len(cells) < records * _MANY_QUOTED


def _rank(text: str, *, is_whole: bool) -> list[Split]:
    """Returns the likely dialects of a text; most texts show theirs in their beginning."""
    short = text[: text.rfind("\n", 0, _SHORT) + 1]
    if not short or len(text) <= _SHORT:
        return rank_dialects(text, is_whole=is_whole)
    ranked = rank_dialects(short, is_whole=False)
    if ranked:
        best = ranked[0]
        whole = Split(best.dialect, split_rows(text, best.dialect, is_whole=is_whole), best.score)
        if whole.cover == 1 and whole.width == best.width:
            return [whole, *ranked[1:]]
    return rank_dialects(text, is_whole=is_whole)


def _recognize_single(file: _Text, expected: Collection[str]) -> Recognized | None:
    """Returns a file of one column; None if its lines do not look like one."""
    separator = _choose_format(",", file.sample.name)[1]
    rows = split_rows(file.text, Dialect(separator), is_whole=file.sample.is_whole)
    split = Split(Dialect(separator), rows)
    if split.width != 1 or not split.rows or any(row.is_broken for row in split.rows):
        return None
    doubts = ["no separator was found, so each line is one value"]
    return _declare(split, file, expected, doubts)


def _declare(
    split: Split, file: _Text, expected: Collection[str], doubts: Sequence[str]
) -> Recognized:
    lines = file.text.splitlines(keepends=True)
    place = find_place(split, lines, expected)
    dialect = split.dialect
    marks, counts = find_null_marks(place.records, place.width)
    if dialect.escape and dialect.quote is None:
        marks = tuple(dict.fromkeys((*marks, "\\N")))
    wanted, usual = _choose_format(dialect.separator, file.sample.name)
    files = Files(
        format=wanted,
        encoding=file.encoding,
        separator=None if dialect.separator == usual else dialect.separator,
        quote=dialect.quote,
        escape=dialect.escape,
        trim=dialect.trim,
        header=place.has_header,
        skip_lines=_count_first_lines(place, lines),
        skip_last_lines=count_last_lines(place, split, file.text, file.tail),
        comment=place.comment,
        nulls=marks,
    )
    if not place.is_certain:
        is_header = "names the columns" if place.has_header else "is a record"
        doubts = (*doubts, f"whether the first line {is_header} could not be told for certain")
    if weak := find_weak_marks(place.records, place.width, marks):
        doubts = (*doubts, f"{', '.join(weak)} may be a value: few numbers stand beside it")
    notes = tuple(_describe(place, counts, marks, files.skip_last_lines))
    return Recognized(files, place.names, place.width, notes, tuple(doubts))


def _choose_format(separator: str, name: str) -> tuple[Format | None, str]:
    """Returns the format to declare, if any, and the separator that needs no declaration."""
    if name.lower().endswith((".csv", ".tsv")):
        return None, "\t" if name.lower().endswith(".tsv") else ","
    return ("tsv", "\t") if separator == "\t" else ("csv", ",")


def _count_first_lines(place: Place, lines: Sequence[str]) -> int:
    """Returns how many lines above the table have to be skipped; readers skip the blank ones."""
    above = lines[: place.first]
    is_comment = place.comment and all(_is_skippable(line, place.comment) for line in above)
    return 0 if is_comment or not any(line.strip() for line in above) else place.first


def _is_skippable(line: str, comment: str) -> bool:
    return line.startswith(comment) or not line.strip()


def _describe(
    place: Place, counts: dict[str, int], marks: Sequence[str], footer: int
) -> Sequence[str]:
    notes = []
    if others := {mark: count for mark, count in counts.items() if mark not in marks}:
        found = ", ".join(f"{mark} ({count:,} times)" for mark, count in others.items())
        notes.append(f"may stand for null, or be values: {found}")
    records = list(place.records)
    # Lines that are declared as a footer are no records.
    while footer and records and not _fits(records[-1], place.width, len(place.names)):
        records.pop()
        footer -= 1
    if odd := sum(not _fits(row, place.width, len(place.names)) for row in records):
        subject, verb = format_count(odd, "record"), "does" if odd == 1 else "do"
        notes.append(f"{subject} of the sample {verb} not have {place.width} cells")
    return notes


def _fits(row: Row, width: int, named: int) -> bool:
    if row.is_broken:
        return False
    return min(width, named or width) <= len(row.cells) and not any(row.cells[width:])


def _name(separator: str) -> str:
    return {"\t": "a tab", " ": "a blank", "\x01": "\\x01"}.get(separator, f"`{separator}`")
