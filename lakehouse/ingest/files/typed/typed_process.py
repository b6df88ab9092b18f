"""Makes an Arrow, Avro or ORC file into Parquet, in a process of its own."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lakehouse.ingest.files.typed.avro_rows import list_avro_frames
from lakehouse.ingest.files.typed.reader_process import CannotReadError, serve

_ARROW_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"


def _read(asked: dict[str, Any]) -> Iterator[Any]:
    """Yields nothing; the rows are in the folder, in the order of the names of its files."""
    _FORMATS[asked["format"]](Path(asked["path"]), Path(asked["folder"]), asked["rows"])
    yield {}


def _convert_arrow(path: Path, folder: Path, _: int) -> None:
    with path.open("rb") as file:
        head = file.read(len(_ARROW_FILE))
    if head.startswith(_FEATHER_1):
        raise CannotReadError("Feather of version 1, which is not read; write it as version 2")
    target, is_file = folder / "0.parquet", head == _ARROW_FILE
    try:
        _sink_arrow(path, target, is_file=is_file)
    except pl.exceptions.PanicException as error:
        # Polars panics where two columns, or two fields of a struct, have the same name.
        if "left == right" in str(error) or "more than one occurrence" in str(error):
            raise CannotReadError(
                "damaged, or two columns or fields have the same name. "
                "Next: deliver the file with names that differ"
            ) from error
        raise


def _sink_arrow(path: Path, target: Path, *, is_file: bool) -> None:
    if is_file:
        pl.scan_ipc(path, glob=False, hive_partitioning=False).sink_parquet(target)
    else:
        pl.read_ipc_stream(path).write_parquet(target)


def _convert_avro(path: Path, folder: Path, most: int) -> None:
    rows = 0
    for number, frame in enumerate(list_avro_frames(path)):
        frame.write_parquet(folder / f"{number:09}.parquet")
        rows += frame.height
        if rows > most:
            raise CannotReadError(f"more than {most:,} records (rows)")


def _convert_orc(path: Path, folder: Path, most: int) -> None:
    from pyarrow import orc, parquet  # noqa: PLC0415, a large package that others do not need

    file = orc.ORCFile(str(path))
    if file.nrows > most:
        raise CannotReadError(f"{file.nrows:,} rows; limit {most:,} (rows)")
    rows = 0
    with parquet.ParquetWriter(folder / "0.parquet", file.schema) as target:
        for number in range(file.nstripes):
            stripe = file.read_stripe(number)
            rows += stripe.num_rows
            target.write_batch(stripe)
    if rows != file.nrows:
        raise CannotReadError(f"damaged: {file.nrows:,} rows are claimed, {rows:,} are there")


_FORMATS: Mapping[str, Callable[[Path, Path, int], None]] = {
    "arrow": _convert_arrow,
    "avro": _convert_avro,
    "orc": _convert_orc,
}

if __name__ == "__main__":
    serve(_read)
