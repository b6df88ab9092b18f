"""Arrow, Avro and ORC: made into Parquet in a process of its own, and read as such.

Belongs here: which packages a format needs, and what such a file is called. Does not belong here:
how it is made into Parquet (`typed_process.py`), and which types change (`typed_frames.py`).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.typed.contained import need_packages, read_contained
from lakehouse.ingest.files.typed.typed_frames import add_typed_frame, describe_repeated_name
from lakehouse.redaction import redact
from lakehouse.storage.parquet import scan_parquet_files

_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "arrow": {},
    "avro": {"fastavro": "fastavro", "cramjam": "cramjam"},
    "orc": {"pyarrow": "pyarrow"},
}
_KINDS = {"arrow": "an Arrow file", "avro": "an Avro file", "orc": "an ORC file"}


def read_arrow(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads an Arrow file or stream, also called Feather, into the ledger; see `_read`."""
    _read("arrow", path, ledger, options)


def read_avro(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads an Avro file into the ledger; see `_read`."""
    _read("avro", path, ledger, options)


def read_orc(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads an ORC file into the ledger; see `_read`."""
    _read("orc", path, ledger, options)


def _read(form: str, path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads a file into the ledger.

    Raises:
        OSError: the disk is full.
        RefusedError: a package is missing; or the file is none of this format, damaged or too
            large.
    """
    need_packages(form, _PACKAGES[form])
    folder = ledger.rows.folder.with_name("converted")
    folder.mkdir()
    request = {"format": form, "folder": str(folder), "rows": ledger.limits.rows}
    try:
        module = "lakehouse.ingest.files.typed.typed_process"
        for _ in read_contained(module, request, path, ledger.limits):
            pass
        lf = scan_parquet_files(sorted(folder.iterdir()))
        add_typed_frame(lf, path.stat().st_size, ledger, options, _KINDS[form])
    except pl.exceptions.DuplicateError as error:
        raise RefusedError(describe_repeated_name(error)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise RefusedError(f"{_KINDS[form]} that cannot be read: {redact(error)[:500]}") from error
    finally:
        shutil.rmtree(folder)
