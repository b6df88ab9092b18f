"""Broken files, by seed: real and invented records, mutated as text and bytes, in any container.

Each record carries marks that are unique among all files, so it can be found wherever it ended up.
"""

import gzip
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

import polars as pl

from campaign.mutations import BYTES, Mutation, choose_position
from campaign.structure import STRUCTURE

REQUIRED = ("mark", "day", "amount")
MARK = re.compile(r"q\d{6}x\d{3}[ab]")
_TEXTS = (
    "",
    "plain",
    "two\nlines",
    'six " inches',
    "a, b; c\td",
    "Zürich 北京",
    " blanks ",
    "NULL",
    "0.10",
    "\u2028",
    "'",
)

_COMPRESSIONS: tuple[Literal["zstd", "snappy", "uncompressed", "gzip", "lz4"], ...] = (
    "zstd",
    "snappy",
    "uncompressed",
    "gzip",
    "lz4",
)


@dataclass(frozen=True)
class BrokenFile:
    """A file that may be broken.

    Attributes:
        name: its name in landing; the suffix gives its format.
        table: the raw table that it is delivered for, by the name of its folder.
        content: its bytes.
        how: what was done to it.
    """

    name: str
    table: str
    content: bytes
    how: tuple[str, ...]


def build_broken_file(seed: int, number: int, real: Path | None) -> BrokenFile:
    """Builds the file of a number: always the same for the same seed and the same real files."""
    random = Random(f"broken {seed} {number}")
    kind = random.choice(["csv", "csv", "csv", "tsv", "jsonl", "jsonl", "parquet"])
    lines = _real(random, kind, real) if real is not None and random.random() < 0.4 else []
    if kind == "parquet":
        content, how = _parquet(random, number), ["parquet"]
    else:
        text = (
            _json(random, number, lines)
            if kind == "jsonl"
            else _csv(random, number, lines, "\t" if kind == "tsv" else ",")
        )
        content, how = _mutate_text(random, text, kind)
        how = [f"real {kind}" if lines else kind, *how]
    suffix = (
        f".{kind}"
        if random.random() < 0.97
        else random.choice([".csv", ".json", ".parquet", ".txt", ""])
    )
    for _ in range(random.choice([0, 1, 1, 1, 2, 4])):
        content, how = _apply(random, BYTES, content, how)
    content, suffix, how = _pack(random, content, suffix, how)
    table = random.choice(["loose", "strict"])
    return BrokenFile(f"{seed}-{number:06}{suffix}", table, content, tuple(how))


def _mark(number: int, row: int, side: str) -> str:
    return f"q{number:06}x{row:03}{side}"


def _csv(random: Random, number: int, lines: list[str], separator: str) -> str:
    """Returns a header and lines, each line between two marks."""
    inside = lines[0].split(separator) if lines and '"' not in lines[0] else ["text", "more"]
    header = separator.join(["mark", "day", *inside, "amount", "last"])
    wanted = (
        lines[1:]
        if lines
        else [_invent_line(random, separator) for _ in range(random.randint(1, 25))]
    )
    rows = [
        separator.join(
            [
                _mark(number, n, "a"),
                f"2024-06-{n % 28 + 1:02}",
                line,
                str(n / 8),
                _mark(number, n, "b"),
            ]
        )
        for n, line in enumerate(wanted)
    ]
    return "\n".join([header, *rows]) + ("\n" if random.random() < 0.8 else "")


def _invent_line(random: Random, separator: str) -> str:
    cells = [random.choice(_TEXTS) for _ in range(2)]
    quoted = [
        f'"{cell.replace(chr(34), chr(34) * 2)}"' if re.search(r'["\n,\t]', cell) else cell
        for cell in cells
    ]
    return separator.join(quoted)


def _json(random: Random, number: int, lines: list[str]) -> str:
    """Returns one object in each line, between two marks."""
    wanted = lines or [
        json.dumps(_object(random), ensure_ascii=random.random() < 0.5)
        for _ in range(random.randint(1, 25))
    ]
    rows = []
    for n, line in enumerate(wanted):
        head = (
            f'{{"mark": "{_mark(number, n, "a")}", "day": "2024-06-{n % 28 + 1:02}", '
            f'"amount": {n / 8}'
        )
        inner = line.strip()[1:-1].strip()
        rows.append(f'{head}{", " if inner else ""}{inner}, "last": "{_mark(number, n, "b")}"}}')
    return "\n".join(rows) + "\n"


def _object(random: Random, depth: int = 0) -> dict[str, object]:
    values: list[object] = [
        random.choice(_TEXTS),
        random.randrange(10**6),
        random.random(),
        None,
        True,
        10**25,
        [1, "a"],
    ]
    if depth < 3:
        values.append(_object(random, depth + 1))
    return {f"k{random.randrange(8)}": random.choice(values) for _ in range(random.randint(0, 4))}


def _parquet(random: Random, number: int) -> bytes:
    height = random.randint(1, 60)
    columns = {
        "mark": [_mark(number, n, "a") for n in range(height)],
        "day": [f"2024-06-{n % 28 + 1:02}" for n in range(height)],
        "amount": [str(n / 8) for n in range(height)],
        "number": range(height),
        "flag": [n % 3 == 0 for n in range(height)],
        "nested": [{"a": n, "b": [str(n)]} for n in range(height)],
        "last": [_mark(number, n, "b") for n in range(height)],
    }
    names = random.sample(list(columns), random.randint(4, len(columns)))
    file = io.BytesIO()
    frame = pl.DataFrame(
        {name: columns[name] for name in {"mark", "last", "day", "amount", *names}}
    )
    compression = random.choice(_COMPRESSIONS)
    frame.select(sorted(frame.columns)).write_parquet(
        file, compression=compression, row_group_size=random.choice([7, 100])
    )
    return file.getvalue()


_REAL = {
    "csv": (
        "online_retail/by_day/2010-12-0?.csv.gz",
        "northwind/*.csv",
        "ourairports/*/*.csv",
        "nyc_green_taxi/*.csv*",
    ),
    "jsonl": ("github_events/*.json.gz", "wikipedia_edits/*.json.gz"),
}


def _real(random: Random, kind: str, folder: Path) -> list[str]:
    """Returns some lines of a real file, its header first; none if there is no such file."""
    found = sorted(path for pattern in _REAL.get(kind, ()) for path in folder.glob(pattern))
    if not found:
        return []
    path = random.choice(found)
    with path.open("rb") as file:
        plain = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        head = plain.read(60_000).decode("utf-8", "replace").splitlines()[:-1]
    start = random.randrange(1, max(2, len(head) - 20))
    return (
        ([head[0], *head[start : start + 15]] if kind == "csv" else head[start : start + 8])
        if len(head) > 1
        else []
    )


def _mutate_text(random: Random, text: str, kind: str) -> tuple[bytes, list[str]]:
    content, how = text.encode(), list[str]()
    for _ in range(random.choice([0, 1, 1, 2])):
        content, how = _apply(random, STRUCTURE[kind], content, how)
    return content, how


def _apply(
    random: Random, known: dict[str, Mutation], content: bytes, how: list[str]
) -> tuple[bytes, list[str]]:
    name = random.choice(list(known))
    return known[name](random, content), [*how, name]


def _pack(
    random: Random, content: bytes, suffix: str, how: list[str]
) -> tuple[bytes, str, list[str]]:
    """Packs content into gzip or zip at times, and breaks the result at times."""
    kind = random.choice(["plain"] * 6 + ["gz", "zip"])
    if kind == "plain":
        return content, suffix, how
    packed = _gzip(random, content) if kind == "gz" else _zip(random, content, suffix)
    if random.random() < 0.5:
        return (*_name_packed(*_apply(random, BYTES, packed, [*how, kind]), suffix, kind),)
    return packed, f"{suffix}.{kind}", [*how, kind]


def _name_packed(
    content: bytes, how: list[str], suffix: str, kind: str
) -> tuple[bytes, str, list[str]]:
    return content, f"{suffix}.{kind}", [*how[:-1], f"{how[-1]} in {kind}"]


def _gzip(random: Random, content: bytes) -> bytes:
    if random.random() < 0.2:
        place = choose_position(random, content)
        return gzip.compress(content[:place], mtime=0) + gzip.compress(content[place:], mtime=0)
    return gzip.compress(content, mtime=0)


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _zip(random: Random, content: bytes, suffix: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice(_METHODS)) as zipped:
        for number in range(random.choice([1, 1, 1, 1, 2])):
            # `writestr` takes the method of the `ZipInfo`, which is none, unless one is named.
            member = zipfile.ZipInfo(f"inner{number}{suffix}")
            zipped.writestr(member, content, compress_type=zipped.compression)
    return file.getvalue()
