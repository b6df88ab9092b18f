"""What a refusal says about the look of its file: the declaration that would read it."""

from collections.abc import Collection
from pathlib import Path

from lakehouse.errors import LakehouseError
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.recognize.declaration_text import write_files
from lakehouse.ingest.files.recognize.recognized import Recognized
from lakehouse.ingest.files.recognize.recognizer import recognize

_FAILED = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OSError),
    *(LakehouseError, RuntimeError, TypeError, ValueError),
)
"""A guess that fails must not hide the refusal, nor stop the batch."""


def hint_declaration(path: Path, name: str, options: ReadOptions) -> str:
    """Returns the end of a refusal's message; empty if no other declaration is likely.

    The names of columns are the table's own, and no value of the file is quoted: what looks like a
    header may be a record with personal data.

    Args:
        path: the file as delivered.
        name: its name.
        options: how it was read.
    """
    try:
        found = recognize(path, name, options.columns or options.required)
    except _FAILED:
        return ""
    # A single column is what any text looks like.
    if found is None or found.width == 1 or not _has_columns(found, options):
        return ""
    # Without declared names nothing tells a header from a record.
    if not options.columns and any(doubt.startswith("whether") for doubt in found.doubts):
        return ""
    if found.files == options.files or not found.files.list_changed():
        return ""
    doubt = f" ({'; '.join(found.doubts)})" if found.doubts else ""
    return f"; it looks like files={write_files(found.files)}{doubt}"


def _has_columns(found: Recognized, options: ReadOptions) -> bool:
    """Returns whether a file read as it looks has the columns that the table needs."""
    needed = {name.strip().casefold() for name in options.required}
    if found.columns:
        return needed <= {name.strip().casefold() for name in found.columns}
    declared: Collection[str] = options.columns or options.required
    return not found.width or not declared or found.width == len(declared)
