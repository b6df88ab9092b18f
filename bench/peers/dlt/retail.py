"""Loads what is new in a landing folder into DuckDB by dlt: `python retail.py <folder>`.

The landing zone is `<folder>/landing`, the database is `<folder>/retail.duckdb`, and the rows are
in its schema `raw`. New files are recognised by their modification time, columns are text, and each
row keeps its file and its line. Tables pass through as Arrow, which dlt recommends for speed: rows
do not become Python objects.
"""

import csv
import gzip
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

home = Path(sys.argv[1]).resolve()
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DLT_DATA_DIR": str(home / "dlt"),
    "DLT_PROJECT_DIR": str(home),
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
}

import dlt  # noqa: E402
import pyarrow as pa  # noqa: E402
from dlt.sources.filesystem import FileItemDict, filesystem  # noqa: E402
from pyarrow import csv as arrow_csv  # noqa: E402


def read_text(content: bytes) -> pa.Table:
    """Reads a CSV file as text; drops records with too few fields or invalid UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        content = b"\n".join(line for line in content.split(b"\n") if _is_text(line))
    names = next(csv.reader(io.StringIO(content[: content.index(b"\n")].decode())))
    named = [name or "_nothing" for name in names]
    return arrow_csv.read_csv(
        io.BytesIO(content),
        read_options=arrow_csv.ReadOptions(column_names=named, skip_rows=1),
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=lambda _: "skip"
        ),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(named, pa.string())),
    ).select([name for name in names if name])


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unpack(file: FileItemDict) -> bytes:
    content = file.read_bytes()
    if file["file_name"].endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


@dlt.transformer(standalone=True)
def read_csv(files: list[FileItemDict]) -> Iterator[pa.Table]:
    """Yields the rows of files with their origin."""
    for file in files:
        rows = read_text(_unpack(file))
        yield rows.append_column(
            "source_file", pa.repeat(pa.scalar(file["file_name"]), len(rows))
        ).append_column("source_line", pa.array(range(len(rows)), pa.int64()))


def new_rows(table: str, pattern: str) -> dlt.sources.DltResource:
    """Returns the rows of a table's files that arrived since the last load."""
    files = filesystem(bucket_url=(home / "landing" / table).as_uri(), file_glob=pattern)
    files.apply_hints(incremental=dlt.sources.incremental("modification_date"))
    return (files | read_csv()).with_name(table).apply_hints(write_disposition="append")


def main() -> None:
    """Loads both tables."""
    database = dlt.destinations.duckdb(str(home / "retail.duckdb"))
    pipeline = dlt.pipeline("retail", destination=database, dataset_name="raw")
    pipeline.run(
        [new_rows("invoice_lines", "*.csv.gz"), new_rows("fx_rates", "*.zip")]
    ).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
