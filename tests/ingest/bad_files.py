"""Every kind of bad file, how to put it into a landing folder, and what must be reported about it."""

import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def line(number: int, day: str = "2010-12-01") -> str:
    """A good invoice line."""
    return (
        f"5363{number:02},85123A,HEART,{number},{day} 08:26:00,2.55,178{number:02}.0,United Kingdom"
    )


def invoice(*numbers: int, day: str = "2010-12-01", end: str = "\n") -> bytes:
    """A good file with a line for each number."""
    return "".join(f"{text}{end}" for text in (HEADER, *(line(n, day) for n in numbers))).encode()


@dataclass(frozen=True)
class Bad:
    """A bad file.

    Attributes:
        name: of the file.
        put: makes it at a path.
        said: what the report must contain after its name.
        reason: of its first dead letter.
        place: of its first dead letter.
        rows: how many of its records are good.
        dead: how many are not.
    """

    name: str
    put: Callable[[Path], object]
    said: str
    reason: str
    place: str = "whole file"
    rows: int = 0
    dead: int = 1


def of(content: bytes) -> Callable[[Path], object]:
    """Writes these bytes."""
    return lambda path: path.write_bytes(content)


def parquet() -> bytes:
    """A good Parquet file."""
    file = io.BytesIO()
    pl.read_csv(invoice(1, 2, 3), infer_schema=False).write_parquet(file)
    return file.getvalue()


def forbid(path: Path) -> None:
    """A good file that nobody may read."""
    path.write_bytes(invoice(41))
    path.chmod(0)


def misname(path: Path) -> None:
    """A good file with a name in Latin-1."""
    (path.parent / "n\udce4me.csv").write_bytes(invoice(42))


def whole(name: str, content: bytes, reason: str) -> Bad:
    """A file that is refused whole."""
    return Bad(name, of(content), reason, reason)


def partly(name: str, reason: str, *lines: str | bytes, rows: int) -> Bad:
    """A file in which some lines are not records; line 3 is the first."""
    content = b"".join(
        (text if isinstance(text, bytes) else text.encode()) + b"\n" for text in (HEADER, *lines)
    )
    dead = len(lines) - rows
    said = f"{dead} dead letter{'s' if dead > 1 else ''}, the first at line 3: {reason}"
    return Bad(name, of(content), said, reason, "line 3", rows, dead)


def unreadable(name: str, put: Callable[[Path], object], reason: str) -> Bad:
    """Something whose bytes cannot be read."""
    return Bad(name, put, reason, reason, name)


REFUSED = (
    whole("empty.csv", b"", "empty file: 0 bytes"),
    whole("cut-off.csv.gz", gzip.compress(invoice(11, 12))[:-20], "gzip stream ends early"),
    whole("cut-off.parquet", parquet()[:-100], "Parquet file is cut off"),
    whole("wrong-header.csv", b"a,b\n1,2\n", "columns missing: InvoiceNo, StockCode, Quantity"),
)
PARTLY = (
    partly(
        "ragged.csv", "2 fields where", line(21), "536322,85123A", line(23), f"{line(24)},x", rows=2
    ),
    partly("quote.csv", "broken quoting", line(25), '536326,"85123A', line(27), rows=2),
    partly(
        "not-utf-8.csv",
        "not valid UTF-8",
        line(28),
        line(29).replace("A", "\xd4").encode("latin-1"),
        rows=1,
    ),
)
UNREADABLE = (
    unreadable(
        "folder.csv",
        Path.mkdir,
        "an empty folder with the name of a file; deliver the file, or remove the folder",
    ),
    unreadable("forbidden.csv", forbid, "Permission denied"),
    unreadable(
        "loop.csv", lambda path: path.symlink_to(path.name), "a link; LAKEHOUSE_FOLLOW_LINKS"
    ),
    unreadable(
        "dangling.csv", lambda path: path.symlink_to("nothing"), "a link; LAKEHOUSE_FOLLOW_LINKS"
    ),
    unreadable("pipe.csv", os.mkfifo, "neither a file nor a folder"),
    unreadable("back", lambda path: path.symlink_to("."), "a link; LAKEHOUSE_FOLLOW_LINKS"),
    unreadable("n\\xe4me.csv", misname, "its name is not UTF-8"),
)
BAD = (*REFUSED, *PARTLY, *UNREADABLE)

TOLERATED = {
    "mark.csv": (b"\xef\xbb\xbf" + invoice(31, 32), "byte order mark removed"),
    "cr.csv": (invoice(33, 34, end="\r"), "lines end with CR only"),
    "mixed.csv": (invoice(35) + line(36).encode() + b"\r\n", "mixed line endings: LF, CRLF"),
}
"""Files that are not as they should be and land whole: content and note."""
