"""What the delivered files of a raw table look like: format, dialect, and what their names say.

Belongs here: the declaration, and whether its parts fit together. Does not belong here: reading
files (`ingest/files/`), and finding out what an undeclared file looks like.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lakehouse.errors import SetupError, list_problems
from lakehouse.tables.record_path import parse_record_path

Format = Literal[
    "csv", "tsv", "fixed", "jsonl", "json", "xml", "excel", "parquet", "arrow", "avro", "orc"
]
"""The formats of files. `csv` and `tsv` differ only in their separator."""

_TEXT = frozenset({"csv", "tsv", "fixed"})
_JSON = frozenset({"json", "jsonl"})
_OPTIONS: Mapping[str, frozenset[str]] = {
    "encoding": _TEXT | _JSON | {"xml"},
    "separator": frozenset({"csv", "tsv"}),
    "quote": frozenset({"csv", "tsv"}),
    "escape": frozenset({"csv", "tsv"}),
    "trim": _TEXT,
    "empty_text": frozenset({"csv", "tsv"}),
    "widths": frozenset({"fixed"}),
    "header": _TEXT | {"excel"},
    "names": frozenset({"csv", "tsv", "excel"}),
    "skip_lines": _TEXT | {"excel"},
    "skip_last_lines": _TEXT | {"excel"},
    "comment": _TEXT,
    "nulls": _TEXT | {"excel"},
    "records": _JSON | {"xml"},
    "parents": _JSON | {"xml"},
    "allow_nan": _JSON,
    "sheet": frozenset({"excel"}),
    "time_zone": frozenset({"parquet", "arrow", "avro", "orc", "excel"}),
}
"""The formats to which an option applies; the options that are not listed apply to all."""


@dataclass(frozen=True, kw_only=True)
class Files:
    r"""What a delivery looks like. An option that is left out has the value of a plain file.

    Attributes:
        format: the format of every file, whatever its suffix; None takes it from the suffix.
        encoding: the encoding of text, as Python names it, such as `cp1252` or `utf-16`. A record
            that cannot be decoded is a dead letter. An XML file names its own; declare one only if
            that is wrong.
        separator: what separates cells; None is a comma, or a tab in `.tsv`.
        quote: what surrounds cells that hold separators or line ends; None if nothing does.
        escape: what stands before a quote or a separator that is part of a value, such as a
            backslash; None if a quote within quotes is doubled.
        trim: whether blanks around a cell, also outside of its quotes, are left out. In fixed
            width: whether lines lack the blanks at their end, so that a short line is a record.
        empty_text: whether a quoted empty cell is an empty text; otherwise it is null, as an empty
            cell without quotes always is.
        widths: the columns of a fixed-width file with their widths in characters, in order.
        header: whether a line names the columns; otherwise `names` does, or the declared columns
            in their order. The first line of a fixed-width file is a header only if it holds the
            names of `widths`.
        names: the names of the columns by position, in place of those in the header.
        skip_lines: how many lines, or rows of a sheet, come before the header.
        skip_last_lines: how many lines, or rows of a sheet, come after the last record.
        comment: what a line begins with that is no record.
        nulls: texts of whole cells without quotes that stand for null, such as `NA`.
        records: the path of the records in JSON or XML, such as `data.orders[].lines[]`; None for
            the objects at the top of JSON, also within a list. XML needs a path, from its outermost
            element on; `[]` says nothing there.
        parents: columns that each record takes from what it lies within: the name of the column,
            and the path of the value, such as `{"order_id": "data.orders[].id"}`.
        allow_nan: whether `NaN` and `Infinity`, which are not JSON, count as numbers.
        sheet: the name or the number, from 1, of the sheet to read; None reads the only one.
        time_zone: the zone of times that a typed format delivers without one; they land as
            instants. None lands them as text.
        folders: whether folders named `column=value` are columns of the rows.
        name: a regular expression for the whole name of a file, with its folders or without, and
            with the suffix of its packing or without; each named group is a column of the rows. A
            file whose name it does not match is refused.
        members: a pattern, such as `*.csv`, for the files to read of an archive; None reads all.
    """

    format: Format | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    quote: str | None = '"'
    escape: str | None = None
    trim: bool = False
    empty_text: bool = False
    widths: Mapping[str, int] = field(default_factory=dict)
    header: bool = True
    names: tuple[str, ...] = ()
    skip_lines: int = 0
    skip_last_lines: int = 0
    comment: str | None = None
    nulls: tuple[str, ...] = ()
    records: str | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    allow_nan: bool = False
    sheet: str | int | None = None
    time_zone: str | None = None
    folders: bool = False
    name: str | None = None
    members: str | None = None

    def __post_init__(self) -> None:
        """Checks that the options fit together.

        Raises:
            SetupError: naming every option that does not fit.
        """
        if problems := list(self._find_problems()):
            next_step = "correct the declaration; docs/files.md lists the options of each format."
            raise SetupError(list_problems("Files(…) is declared wrongly.", problems, next_step))

    def list_changed(self) -> dict[str, object]:
        """Returns the options that differ from those of a plain file."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in given.items() if value != _DEFAULTS[name]}

    def _find_problems(self) -> Iterator[str]:
        if self.format is not None and self.format not in get_args(Format):
            yield f"format is {self.format!r}, it has to be one of {', '.join(get_args(Format))}"
            return
        for option in self.list_changed():
            if self.format and self.format not in _OPTIONS.get(option, {self.format}):
                yield f"`{option}` does not apply to {self.format}"
        yield from self._find_text_problems()
        if (self.format == "fixed") != bool(self.widths):
            yield 'format="fixed" and `widths` belong together'
        if wrong := [name for name, width in self.widths.items() if width < 1]:
            yield f"the width of {', '.join(wrong)} has to be 1 or more"
        if min(self.skip_lines, self.skip_last_lines) < 0:
            yield "`skip_lines` and `skip_last_lines` have to be 0 or more"
        if self.parents and self.records is None:
            yield "`parents` needs `records`: the path of the records that lie within them"
        try:
            parse_record_path(self.records, self.parents)
        except ValueError as error:
            yield f"`records` or `parents`: {error}"
        yield from self._find_zone_and_name_problems()

    def _find_text_problems(self) -> Iterator[str]:
        try:
            # Other codecs, such as `hex`, are no encodings of text.
            is_text = "a,1\n".encode(self.encoding).decode(self.encoding) == "a,1\n"
        except (LookupError, UnicodeError):
            is_text = False
        if not is_text:
            yield f"encoding {self.encoding!r} is unknown; Python's names are valid, as `cp1252`"
        for option in ("separator", "quote", "escape"):
            value = getattr(self, option)
            if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n\0"):
                yield f"`{option}` is {value!r}, it has to be one ASCII character, and no line end"
        given = [value for value in (self.separator, self.quote, self.escape) if value is not None]
        if len(given) != len(set(given)):
            yield "`separator`, `quote` and `escape` have to differ"
        if self.comment == "":
            yield "`comment` is empty; leave it out, or name what such a line begins with"

    def _find_zone_and_name_problems(self) -> Iterator[str]:
        if self.time_zone is not None:
            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                yield f"time_zone {self.time_zone!r} is unknown, name one such as Europe/Berlin"
        if self.name is not None:
            try:
                groups = re.compile(self.name).groupindex
            except re.error as error:
                yield f"`name` is no regular expression: {error}"
            else:
                if not groups:
                    yield "`name` has no named group, as (?P<day>[0-9]{8}), so it gives no column"
                if wrong := [group for group in groups if group.startswith("_")]:
                    yield f"groups of `name` begin with `_`, as columns of the engine do: {wrong}"


_DEFAULTS = {one.name: {} if one.default is MISSING else one.default for one in fields(Files)}
PLAIN = Files()
"""Files without a declaration: the suffix tells the format."""
