r"""The dialect of CSV: what separates cells, what surrounds them, and what stands for null.

Belongs here: the rules as one value, derived from a declaration, and what an escape stands for.
Does not belong here: how a record is split (`fields.py`, `fast_path.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from lakehouse.tables.files import Files

_LETTERS: Mapping[str, str] = MappingProxyType(
    {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
)


@dataclass(frozen=True)
class CsvDialect:
    r"""How cells become values.

    Attributes:
        separator: what separates cells.
        quote: what surrounds a cell that holds separators or line ends; None if nothing does.
        escape: what stands before a character that is part of a value; None if nothing does. Within
            quotes it is an escape only before a quote or itself. Elsewhere also before a separator,
            a line end, and the letters of MySQL and PostgreSQL: `\t`, `\n`, `\r`, `\b`, `\f`, `\v`
            and `\0`; a whole cell `\N` is null. Before anything else it stands for itself.
        trim: whether blanks around a cell, outside of its quotes, are left out.
        empty_text: whether a quoted empty cell is an empty text; otherwise it is null.
        nulls: whole cells without quotes that are null, as they are spelled in the file.
        comment: what a line begins with that is no record; None if there are no such lines.
        encoding: the encoding in which the file was delivered, for messages.
    """

    separator: str = ","
    quote: str | None = '"'
    escape: str | None = None
    trim: bool = False
    empty_text: bool = False
    nulls: frozenset[str] = field(default_factory=frozenset)
    comment: str | None = None
    encoding: str = "utf-8"

    @cached_property
    def blanks(self) -> str:
        """The characters that `trim` leaves out around a cell; none if it is off."""
        return " \t".replace(self.separator, "") if self.trim else ""

    @property
    def not_decodable(self) -> str:
        """The reason for text that cannot be decoded."""
        return f"not valid {'UTF-8' if self.encoding == 'utf-8' else self.encoding}"

    @cached_property
    def quote_byte(self) -> bytes:
        """The quote as a byte; empty if nothing surrounds cells."""
        return (self.quote or "").encode()

    @cached_property
    def escape_byte(self) -> bytes:
        """The escape as a byte; empty if there is none."""
        return (self.escape or "").encode()

    @cached_property
    def comment_bytes(self) -> bytes:
        """What a comment begins with; empty if there are no comments."""
        return (self.comment or "").encode()

    @cached_property
    def null_mark(self) -> str | None:
        r"""The escape for null, as `\N`; None if there is no escape."""
        return self.escape + "N" if self.escape else None

    @cached_property
    def null_cells(self) -> frozenset[str]:
        """The cells without quotes that are null."""
        return self.nulls | ({self.null_mark} if self.null_mark else set())

    @cached_property
    def escapes(self) -> Mapping[str, str]:
        """What an escape and the next character stand for outside of quotes, by that character."""
        itself = [one for one in (self.separator, self.quote, self.escape) if one]
        return {**_LETTERS, **{one: one for one in itself}}

    def is_comment(self, line: bytes) -> bool:
        """Returns whether a line that is not within a cell is a comment."""
        return bool(self.comment) and line.startswith(self.comment_bytes)

    def read_cell(self, text: str) -> str | None:
        """Returns the value of a cell without quotes and escapes."""
        text = text.strip(self.blanks) if self.trim else text
        return None if not text or text in self.null_cells else text

    def read_quoted(self, text: str) -> str | None:
        """Returns the value of a cell whose quotes are removed already."""
        return text if text or self.empty_text else None


def read_dialect(files: Files, separator: str) -> CsvDialect:
    """Returns the declared dialect.

    Args:
        files: the declaration.
        separator: what separates cells unless the declaration says otherwise.
    """
    return CsvDialect(
        separator=files.separator or separator,
        quote=files.quote,
        escape=files.escape,
        trim=files.trim,
        empty_text=files.empty_text,
        nulls=frozenset(files.nulls),
        comment=files.comment,
        encoding=files.encoding,
    )
