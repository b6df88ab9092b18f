"""`make bench`: rows a second of each format, beside Polars and DuckDB reading the same file.

Ours reads the file as a delivery: it unpacks and decodes, decides for every record whether it is a
row or a dead letter, numbers it, and spools the rows. Polars and DuckDB only read all columns as
text into memory. Each works in a process of its own; imports do not count.

A format is one entry of `FORMATS`.
"""

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from bench.beside import module
from bench.measure import Cost, run_command
from lakehouse.ingest.files.delivery import read_delivery
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.tables.files import Files

BASE = "comma"
"""The entry to which the time of ours is compared."""

COLUMNS = ("id", "customer", "city", "ordered_on", "quantity", "price", "status", "note")
WIDTHS = dict(zip(COLUMNS, (9, 12, 12, 10, 4, 9, 8, 24), strict=True))


@dataclass(frozen=True)
class Measured:
    """A format or dialect.

    Attributes:
        suffix: the suffix of the file.
        write: writes the rows of a frame of text to a path.
        files: how ours is told to read it.
        polars: reads the file by Polars; None if Polars cannot.
        duckdb: the SQL by which DuckDB reads it, with the path as `{path}`; None if it cannot.
        share: which share of the rows the file has, where a format is slow.
    """

    suffix: str
    write: Callable[[pl.DataFrame, Path], None]
    files: Files = field(default_factory=Files)
    polars: Callable[[Path], pl.DataFrame] | None = None
    duckdb: str | None = None
    share: float = 1.0


def make_rows(count: int) -> pl.DataFrame:
    """Returns the rows: numbers, dates and words as text, with letters beyond ASCII."""
    n = pl.int_range(count, eager=True)
    cities = pl.Series(["Zürich", "Köln", "Oslo", "Málaga", "Bern", "Lyon"])
    words = pl.Series(["", "left at the door", "größer als erwartet", "ok", "second try"])
    return pl.DataFrame({"n": n}).select(
        id=pl.col("n").cast(pl.String),
        customer="C" + (pl.col("n") * 7919 % 100_000).cast(pl.String),
        city=cities.gather(n % len(cities)),
        ordered_on=(pl.date(2024, 1, 1) + pl.duration(days=pl.col("n") % 366)).dt.to_string(),
        quantity=(pl.col("n") % 40 + 1).cast(pl.String),
        price=(pl.col("n") * 31 % 99_999 / 100).round(2).cast(pl.String),
        status=pl.Series(["open", "paid", "sent"]).gather(n % 3),
        note=words.gather(n % len(words)),
    )


def _csv(separator: str = ",", encoding: str = "utf-8") -> Callable[[pl.DataFrame, Path], None]:
    def write(rows: pl.DataFrame, path: Path) -> None:
        path.write_bytes(rows.write_csv(separator=separator).encode(encoding))

    return write


def _gzip(rows: pl.DataFrame, path: Path) -> None:
    path.write_bytes(gzip.compress(rows.write_csv().encode(), compresslevel=6))


def _escaped(rows: pl.DataFrame, path: Path) -> None:
    # One note in five holds an escaped separator.
    note = pl.col("note").str.replace("at the", r"at \| the", literal=True)
    rows = rows.with_columns(note.fill_null(r"\N"))
    path.write_text(rows.write_csv(separator="|", quote_style="never"))


def _fixed(rows: pl.DataFrame, path: Path) -> None:
    cells = [pl.col(name).str.pad_end(width) for name, width in WIDTHS.items()]
    lines = rows.select(pl.concat_str(cells))
    path.write_text("\n".join(lines.to_series()) + "\n")


def _read_csv(**options: object) -> Callable[[Path], pl.DataFrame]:
    return lambda path: pl.read_csv(path, infer_schema=False, **options)  # type: ignore[arg-type]


def _read_fixed(path: Path) -> pl.DataFrame:
    lines = pl.read_csv(path, has_header=False, new_columns=["line"], separator="\x01")
    starts = [sum([*WIDTHS.values()][:place]) for place in range(len(WIDTHS))]
    cells = [
        pl.col("line").str.slice(start, width).str.strip_chars(" ").alias(name)
        for start, (name, width) in zip(starts, WIDTHS.items(), strict=True)
    ]
    return lines.select(cells)


def _duck_csv(options: str = "") -> str:
    return f"SELECT * FROM read_csv('{{path}}', all_varchar=true, header=true{options})"


FORMATS: Mapping[str, Measured] = {
    "comma": Measured(".csv", _csv(), Files(), _read_csv(), _duck_csv()),
    "semicolon": Measured(
        ".csv", _csv(";"), Files(separator=";"), _read_csv(separator=";"), _duck_csv(", delim=';'")
    ),
    "tab": Measured(
        ".tsv", _csv("\t"), Files(), _read_csv(separator="\t"), _duck_csv(", delim='\\t'")
    ),
    "latin-1": Measured(
        ".csv",
        _csv(encoding="latin-1"),
        Files(encoding="latin-1"),
        _read_csv(encoding="iso-8859-1"),
        _duck_csv(", encoding='latin-1'"),
    ),
    "windows-1252": Measured(
        ".csv", _csv(encoding="cp1252"), Files(encoding="cp1252"), _read_csv(encoding="cp1252")
    ),
    "utf-16": Measured(
        ".csv", _csv(encoding="utf-16"), Files(encoding="utf-16"), _read_csv(encoding="utf-16")
    ),
    "gzip": Measured(".csv.gz", _gzip, Files(), _read_csv(), _duck_csv()),
    "pipe, escapes": Measured(
        ".csv",
        _escaped,
        Files(separator="|", quote=None, escape="\\"),
        # Polars knows no escapes, and DuckDB reads them only within quotes.
    ),
    "nulls, trim": Measured(
        ".csv", _csv(), Files(nulls=("ok", "NA"), trim=True), _read_csv(null_values=["ok", "NA"])
    ),
    "fixed width": Measured(
        ".txt", _fixed, Files(format="fixed", widths=WIDTHS), _read_fixed, share=0.5
    ),
    "json lines": Measured(
        ".jsonl",
        lambda rows, path: rows.write_ndjson(path),
        Files(),
        pl.read_ndjson,
        "SELECT * FROM read_json('{path}', format='newline_delimited')",
        share=0.2,
    ),
    "parquet": Measured(
        ".parquet",
        lambda rows, path: rows.write_parquet(path),
        Files(),
        pl.read_parquet,
        "SELECT * FROM read_parquet('{path}')",
    ),
}


def read_by(way: str, name: str, path: Path) -> int:
    """Reads a file in one way, and returns how many rows it has."""
    one = FORMATS[name]
    if way == "polars" and one.polars is not None:
        return one.polars(path).height
    if way == "duckdb" and one.duckdb is not None:
        # Materialized, as by Polars: a count alone would not read the columns.
        with duckdb.connect() as connection:
            connection.sql(f"CREATE TABLE t AS {one.duckdb.format(path=path)}")
            found = connection.sql("SELECT count(*) FROM t").fetchone()
            return int(found[0]) if found else 0
    with tempfile.TemporaryDirectory(dir=path.parent) as spool, path.open("rb") as file:
        chunks = iter(lambda: file.read(1 << 20), b"")
        options = ReadOptions(files=one.files)
        return read_delivery(chunks, name=path.name, spool=Path(spool), options=options).rows_count


def list_ways(one: Measured) -> list[str]:
    """Returns the ways in which a format is read."""
    return ["ours", *["polars"] * (one.polars is not None), *["duckdb"] * (one.duckdb is not None)]


def measure(rows: int, rounds: int, names: Sequence[str]) -> list[dict[str, object]]:
    """Reads each format in each way, prints a table and returns its lines.

    Raises:
        RuntimeError: a way failed, or read another number of rows.
    """
    frame = make_rows(rows)
    costs: dict[tuple[str, str], list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="formats-") as folder:
        paths = {}
        for name in names:
            paths[name] = Path(folder) / f"{name.replace(', ', '-')}{FORMATS[name].suffix}"
            FORMATS[name].write(frame.head(int(rows * FORMATS[name].share)), paths[name])
        for turn in range(rounds):
            # The order alternates, so that a machine that slows down affects all alike.
            for name in names if turn % 2 == 0 else names[::-1]:
                for way in list_ways(FORMATS[name]):
                    asked = ("--read", way, name, str(paths[name]))
                    cost = run_command(module("bench.formats", *asked))
                    if cost.said["rows"] != int(rows * FORMATS[name].share):
                        raise RuntimeError(f"{name}, {way}: {cost.said['rows']:,} rows were read")
                    costs.setdefault((name, way), []).append(cost)
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    return [_line(name, way, costs, rows, sizes[name]) for name, way in costs]


def _line(
    name: str, way: str, costs: Mapping[tuple[str, str], Sequence[Cost]], rows: int, size: int
) -> dict[str, object]:
    def seconds(one: str, by: str) -> list[float]:
        # A second for all rows, so that formats of fewer rows compare.
        return [cost.seconds / FORMATS[one].share for cost in costs[one, by]]

    def ratio(one: tuple[str, str]) -> float | None:
        if one not in costs:
            return None
        pairs = zip(seconds(name, way), seconds(*one), strict=True)
        return statistics.median(mine / other for mine, other in pairs)

    return {
        "format": name,
        "way": way,
        "mib": size / 2**20 / FORMATS[name].share,
        "rows_a_second": round(rows / statistics.median(seconds(name, way))),
        "to_comma": ratio((BASE, way)),
        "to_polars": ratio((name, "polars")),
        "to_duckdb": ratio((name, "duckdb")),
        "peak_mib": statistics.median(cost.peak_mib for cost in costs[name, way]),
    }


def show_lines(lines: Sequence[Mapping[str, object]]) -> None:
    """Prints the lines as Markdown."""
    print("| format | way | MiB | rows/s | x comma | x Polars | x DuckDB | peak MiB |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for line in lines:
        ratios = [line["to_comma"], line["to_polars"], line["to_duckdb"]]
        shown = " | ".join("-" if one is None else f"{one:.2f}" for one in ratios)
        sizes = f"{line['mib']:,.0f} | {line['rows_a_second']:,}"
        print(f"| {line['format']} | {line['way']} | {sizes} | {shown} | {line['peak_mib']:,.0f} |")


def main() -> None:
    """Measures, or reads one file in one way (`--read`) and prints its cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--read", nargs=3, metavar=("WAY", "FORMAT", "PATH"))
    asked = parser.parse_args()
    if asked.read:
        way, name, path = asked.read
        started = time.monotonic()
        rows = read_by(way, name, Path(path))
        print(json.dumps({"seconds": time.monotonic() - started, "rows": rows}))
        return
    names = list(dict.fromkeys([BASE, *asked.only]))
    show_lines(measure(asked.rows, asked.rounds, names))


if __name__ == "__main__":
    sys.exit(main())
