"""Formats that their first bytes name: Parquet, Arrow, Avro, ORC and Excel."""

from lakehouse.ingest.files.recognize.recognized import Recognized, declare_format
from lakehouse.ingest.files.recognize.sample import Sample
from lakehouse.tables.files import Files, Format

_MAGIC: dict[bytes, Format] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
    b"Obj\x01": "avro",
    b"ORC": "orc",
    b"PK\x03\x04": "excel",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "excel",
}


def find_binary_format(sample: Sample) -> Recognized | None:
    """Returns the declaration for a file in a binary format; None for any other file."""
    for magic, wanted in _MAGIC.items():
        if sample.head.startswith(magic):
            return Recognized(Files(format=declare_format(wanted, sample.name)))
    return None
