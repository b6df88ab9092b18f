"""What the name of a file says of its format and of its packing.

Belongs here: the known suffixes. Does not belong here: what the bytes say (`packing.py`), and which
reader a format has (`readers.py`).
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from lakehouse.tables.files import Format

FORMAT_SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xml": "xml",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".avro": "avro",
    ".orc": "orc",
}
"""The format of a plain file by the suffix of its name."""

PACKING_SUFFIXES: Mapping[str, tuple[str, str]] = {
    ".gz": ("gzip", ""),
    ".gzip": ("gzip", ""),
    ".bz2": ("bzip2", ""),
    ".xz": ("xz", ""),
    ".lzma": ("xz", ""),
    ".zst": ("zstd", ""),
    ".zstd": ("zstd", ""),
    ".zip": ("zip", ""),
    ".tar": ("tar", ""),
    ".tgz": ("gzip", ".tar"),
    ".tbz": ("bzip2", ".tar"),
    ".tbz2": ("bzip2", ".tar"),
    ".txz": ("xz", ".tar"),
    ".tzst": ("zstd", ".tar"),
}
"""The outermost packing by the suffix of a name, and the suffix that is left without it."""

FILE_SUFFIXES = (*FORMAT_SUFFIXES, *PACKING_SUFFIXES)
"""The suffixes of names that look like those of deliveries."""


def find_format(name: str) -> Format | None:
    """Returns the format that a name tells, whatever the file is packed in; None if it tells none.

    In `a.csv.gz` it is CSV; in `a.csv.1` none.
    """
    while name_packing(name) is not None:
        name = strip_packing(name)
    return FORMAT_SUFFIXES.get(_suffix(name))


def name_packing(name: str) -> str | None:
    """Returns the outermost packing that a name tells, such as `gzip`; None if it tells none."""
    found = PACKING_SUFFIXES.get(_suffix(name))
    return None if found is None else found[0]


def strip_packing(name: str) -> str:
    """Returns a name without its outermost packing: `a.csv` of `a.csv.gz`, `a.tar` of `a.tgz`."""
    suffix = _suffix(name)
    found = PACKING_SUFFIXES.get(suffix)
    return name if found is None else name[: -len(suffix)] + found[1]


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower()).suffix
