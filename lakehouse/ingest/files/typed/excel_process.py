"""Reads one sheet of a workbook, in a process of its own: each row as texts that lose nothing.

Errors come from another library than values: the one for values reads them as empty cells, and the
other one knows neither durations nor times of day.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import python_calamine as calamine

from lakehouse.ingest.files.typed.excel_values import Clock, spell_number, spell_other
from lakehouse.ingest.files.typed.reader_process import CannotReadError, serve

_CHUNK = 1 << 20
_COMPOUND_FILE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_IN_DOUBT = date(1900, 2, 28)
_ERRORS = {"NA": "#N/A", "Div0": "#DIV/0!", "Ref": "#REF!", "Value": "#VALUE!"} | {
    "Name": "#NAME?",
    "Num": "#NUM!",
    "Null": "#NULL!",
    "GettingData": "#GETTING_DATA",
}
_MOST_SHEETS = 20
_ERROR = re.compile(r"'Error\((\w+)\)'")
_Row = list[Any]
_Errors = dict[int, dict[int, str]]
"""The errors of a sheet by the numbers of rows and columns, both from 0."""


def _read(asked: dict[str, Any]) -> Iterator[Any]:
    """Yields what is known of the sheet, then each row with a value: its number and its texts."""
    path = Path(asked["path"])
    is_zip = zipfile.is_zipfile(path)
    may_have_errors = _measure(path, asked) if is_zip else True
    has_password = not is_zip and _is_encrypted(path)
    try:
        book = None if has_password else calamine.load_workbook(str(path))
    except calamine.PasswordError:
        book = None
    if book is None:
        raise CannotReadError("the workbook has a password; save it without one, or as CSV")
    name = _choose_sheet(book, asked["sheet"])
    sheet = book.get_sheet_by_name(name)
    yield {"sheet": name, "columns": sheet.width, "first_column": (sheet.start or (0, 0))[1]}
    errors = _find_errors(path, book, name) if may_have_errors and _has_blanks(sheet) else {}
    is_office = not is_zip or b"opendocument" not in path.read_bytes()[:200]
    yield from _Sheet(sheet, {**asked, "is_office": is_office}, errors).list_rows()


def _is_encrypted(path: Path) -> bool:
    """Returns whether a file is the container in which Excel keeps an encrypted `.xlsx`."""
    # calamine tells such a file by its suffix alone, and ours has none.
    content = path.read_bytes()
    return content.startswith(_COMPOUND_FILE) and _ENCRYPTED_STREAM in content


def _measure(path: Path, asked: dict[str, Any]) -> bool:
    """Refuses a bomb; returns whether a sheet may have an error, which is `t="e"` in its XML."""
    size, done, may_have_errors = path.stat().st_size, 0, False
    most = max(asked["ratio_from"], size * asked["ratio"])
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            tail = b""
            may_have_errors |= not member.filename.endswith((".xml", ".rels"))
            with archive.open(member) as source:
                while chunk := source.read(_CHUNK):
                    done += len(chunk)
                    if done > min(most, asked["plain_bytes"]):
                        raise CannotReadError(
                            f"too large: more than {done - len(chunk):,} bytes of XML come out of "
                            f"{size:,}; limits {asked['ratio']} to one (ratio), "
                            f"{asked['plain_bytes']:,} bytes (plain_bytes)"
                        )
                    may_have_errors |= b't="e"' in tail + chunk or b"t='e'" in tail + chunk
                    tail = chunk[-8:]
    return may_have_errors


def _choose_sheet(book: "calamine.CalamineWorkbook", wanted: str | int | None) -> str:
    sheets = [one for one in book.sheets_metadata if one.typ == calamine.SheetTypeEnum.WorkSheet]
    visible = [one.name for one in sheets if one.visible == calamine.SheetVisibleEnum.Visible]
    shown = ", ".join(repr(name) for name in visible)
    if isinstance(wanted, int):
        if not 0 < wanted <= len(visible):
            raise CannotReadError(f"there is no sheet {wanted}; the file has: {shown}")
        return visible[wanted - 1]
    if wanted is not None:
        names = [one.name for one in sheets]
        same = [name for name in names if name.casefold() == wanted.casefold()]
        if wanted in names or same:
            return wanted if wanted in names else same[0]
        raise CannotReadError(f"there is no sheet {wanted!r}; the file has: {shown}")
    if not visible:
        raise CannotReadError("the workbook has no visible sheet")
    if len(visible) > 1:
        raise CannotReadError(
            f"{len(visible)} sheets, and none is declared: {shown}. "
            f'Next: declare one, such as files=Files(sheet="{_find_largest(book, visible)}")'
        )
    return visible[0]


def _find_largest(book: "calamine.CalamineWorkbook", names: Sequence[str]) -> str:
    """Returns the sheet that looks most like a table: the one with the most cells."""
    sizes = {name: book.get_sheet_by_name(name) for name in names[:_MOST_SHEETS]}
    return max(sizes, key=lambda name: sizes[name].height * sizes[name].width)


def _has_blanks(sheet: "calamine.CalamineSheet") -> bool:
    return any("" in row for row in sheet.iter_rows())


def _find_errors(path: Path, book: "calamine.CalamineWorkbook", name: str) -> _Errors:
    import fastexcel  # noqa: PLC0415, most workbooks hold no error

    sheet = fastexcel.read_excel(str(path)).load_sheet(
        book.sheet_names.index(name), dtypes="string", header_row=None, skip_rows=0
    )
    _, found = sheet.to_arrow_with_errors()
    errors: _Errors = {}
    for error in found.errors if found else ():
        row, column = error.position
        kind = _ERROR.search(error.detail)
        text = _ERRORS.get(kind[1], f"#{kind[1].upper()}!") if kind else "#VALUE!"
        errors.setdefault(row, {})[column] = text
    return errors


class _Sheet:
    """The rows of a sheet as texts."""

    def __init__(
        self, sheet: "calamine.CalamineSheet", asked: dict[str, Any], errors: _Errors
    ) -> None:
        self._sheet = sheet
        self._errors = errors
        self._first_row = asked["skip_lines"]
        self._has_header = asked["header"]
        self._is_office = asked["is_office"]
        self._clock = Clock(asked["time_zone"])
        self._dated, self._timed = self._find_days()

    def list_rows(self) -> Iterator[Any]:
        """Yields each row with a value: its number from 1, its texts, what is wrong with it."""
        empty, last, seen = 0, 0, False
        for number, cells in enumerate(self._sheet.iter_rows()):
            if number < self._first_row:
                continue
            texts, wrong = self._spell(number, cells)
            if not any(text is not None for text in texts):
                continue
            if not seen and self._has_header:
                texts = self._fill_merged(number, texts)
            # Empty rows before the header and after the last record are no gap in the table.
            empty += number - last - 1 if seen else 0
            seen, last = True, number
            yield [number + 1, texts, wrong]
        yield {"empty": empty, "repeated": self._clock.repeated, "skipped": self._clock.skipped}

    def _find_days(self) -> tuple[set[int], set[int]]:
        """Returns the columns with days, and those with times of day: a day there is a midnight."""
        kinds: dict[int, set[type]] = {}
        for number, row in enumerate(self._sheet.iter_rows()):
            if number >= self._first_row:
                for column, kind in enumerate(map(type, row)):
                    if kind is date or kind is datetime:
                        kinds.setdefault(column, set()).add(kind)
        return set(kinds), {column for column, found in kinds.items() if datetime in found}

    def _spell(self, row: int, cells: _Row) -> tuple[list[str | None], str | None]:
        errors, wrong = self._errors.get(row, {}), None
        texts: list[str | None] = []
        for column, cell in enumerate(cells):
            kind = type(cell)
            if kind is str:
                texts.append(cell or errors.get(column))
            elif kind is float:
                texts.append(spell_number(cell))
            elif column in self._dated:
                texts.append(self._spell_day(column, cell))
                wrong = wrong or self._find_doubt(column, cell)
            else:
                texts.append(spell_other(cell))
        return texts, wrong

    def _spell_day(self, column: int, cell: Any) -> str:  # noqa: ANN401, what a cell may hold
        if type(cell) is datetime or (type(cell) is date and column in self._timed):
            return self._clock.spell(cell)
        return spell_other(cell)

    def _find_doubt(self, column: int, cell: Any) -> str | None:  # noqa: ANN401, as above
        """Returns why it is not certain what day a cell of a column with days means."""
        day = cell.date() if type(cell) is datetime else cell
        # Excel counts a day 1900-02-29; the library takes it for the 28th.
        if self._is_office and day == _IN_DOUBT:
            return (
                f"cell {column + 1} is the 28th of February 1900 or the 29th, which never was but "
                "is one of Excel's days; write it as text"
            )
        # The library takes every number below 1 for a time of day, also a day before all days.
        if day == time():
            return f"cell {column + 1} is a day before the first one of Excel; write it as text"
        return None

    def _fill_merged(self, row: int, texts: list[str | None]) -> list[str | None]:
        """Returns a header whose merged cells all have the text of the merged cell."""
        shift = (self._sheet.start or (0, 0))[1]
        filled = list(texts)
        for (top, left), (bottom, right) in self._sheet.merged_cell_ranges or ():
            if not top <= row <= bottom or not 0 <= left - shift < len(filled):
                continue
            if top == row:
                text = texts[left - shift]
            else:
                held = self._sheet.to_python(skip_empty_area=False, nrows=top + 1)[top][left]
                text = str(held) or None
            for column in range(left - shift, min(right - shift + 1, len(filled))):
                filled[column] = filled[column] or text
        return filled


if __name__ == "__main__":
    serve(_read)
