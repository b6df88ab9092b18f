"""What was found out about a file, and the declaration that follows from it."""

from dataclasses import dataclass

from lakehouse.tables.files import Files, Format

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
    ".avro": "avro",
    ".orc": "orc",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".xml": "xml",
}


@dataclass(frozen=True)
class Recognized:
    """What a file looks like.

    Attributes:
        files: the declaration that reads it.
        columns: the names of its columns in their order; empty if nothing in the file names them.
        width: how many columns it has; 0 if that is not known.
        notes: what people should know about it.
        doubts: what could not be told for certain, so that people have to look.
    """

    files: Files
    columns: tuple[str, ...] = ()
    width: int = 0
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def declare_format(wanted: Format, name: str) -> Format | None:
    """Returns the format to declare for a file; None if the suffix of its name tells it."""
    suffix = f".{name.lower().rpartition('.')[2]}" if "." in name else ""
    told = _SUFFIXES.get(suffix)
    if told == wanted or {told, wanted} == {"json", "jsonl"}:
        return None
    return wanted
