"""The reader of each format: which function reads a plain file into a ledger."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lakehouse.ingest.files.csv.records import read_csv
from lakehouse.ingest.files.json.records import read_json
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.text.fixed_width import read_fixed_width
from lakehouse.ingest.files.text.text_encoding import decoded
from lakehouse.ingest.files.typed.excel import read_excel
from lakehouse.ingest.files.typed.parquet import read_parquet
from lakehouse.ingest.files.typed.typed_files import read_arrow, read_avro, read_orc
from lakehouse.ingest.files.xml.records import read_xml
from lakehouse.tables.files import Format

_TEXT = frozenset[Format]({"csv", "tsv", "fixed", "jsonl", "json"})
"""The formats that have an encoding."""

Reader = Callable[[Path, RecordLedger, ReadOptions], None]
"""Reads a plain file into a ledger; raises `RefusedError` if the whole file cannot be read."""


def read_plain_file(path: Path, ledger: RecordLedger, options: ReadOptions, form: Format) -> None:
    """Reads a plain file into a ledger.

    Args:
        path: the file.
        ledger: what takes its records.
        options: how it is read.
        form: its format.

    Raises:
        RefusedError: the file cannot be read as this format.
    """
    reader = _READERS.get(form)
    if reader is None:
        raise RefusedError(f"files of the format {form} are not read")
    if form not in _TEXT:
        reader(path, ledger, options)
        return
    with decoded(path, options.files.encoding, ledger) as text:
        reader(text, ledger, options)


def _read_tsv(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    read_csv(path, ledger, options, separator="\t")


_READERS: Mapping[Format, Reader] = {
    "csv": read_csv,
    "tsv": _read_tsv,
    "fixed": read_fixed_width,
    "jsonl": read_json,
    "json": read_json,
    "xml": read_xml,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "avro": read_avro,
    "orc": read_orc,
    "excel": read_excel,
}
