"""The poisons: odd values of a record, and whole files that are odd, each under its own name.

A poisoned record has an id that begins with `p`, every other record one with `c`.
"""

import base64
import gzip
import io
import json
from collections.abc import Callable, Mapping
from random import Random

import polars as pl

COLUMNS = ("id", "day", "at", "pieces", "price", "note")
Record = dict[str, str | None]

# Of a record: the column, the value, and whether the record may be published with it.
VALUES: Mapping[str, tuple[str, str, bool]] = {
    **{
        f"day {text!r}": ("day", text, False)
        for text in (
            "24-03-01",
            "124-03-01",
            "20240-03-01",
            "-001-03-01",
            "0000-03-01",
            "2024-02-30",
            "2024-13-01",
            "infinity",
            "2024-03-01 ",
            "01/03/2024",
            "2024-03-01T00:00:00",
        )
    },
    "day of an open end": ("day", "9999-12-31", True),
    "day of the first year": ("day", "0001-01-01", True),
    **{
        f"at {text!r}": ("at", text, False)
        for text in (
            "2024-03-01T25:00:00+00:00",
            "20240-03-01T00:00:00+00:00",
            "9999-12-31T23:59:59-05:00",
            "24-03-01T00:00:00+00:00",
            "infinity",
            "now",
            "1709251200",
        )
    },
    "at of another day": ("at", "2024-03-01T23:30:00-05:00", True),
    "at a leap second": ("at", "2016-12-31T23:59:60+00:00", True),
    **{
        f"pieces {text[:30]!r}": ("pieces", text, False)
        for text in (
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "9223372036854775807",
            "9" * 400,
            "1e3",
            "1.0",
            "\uff11\uff12",
            "0x10",
            "--1",
            "1 000",
        )
    },
    **{
        f"price {text!r}": ("price", text, False)
        for text in ("inf", "-inf", "nan", "NaN", "Infinity", "1e999", "1,5", "\u0663", "--", "1e")
    },
    "price -0.0": ("price", "-0.0", True),
    "price 1e-400": ("price", "1e-400", True),
    "note with NUL": ("note", "a\0b", True),
    "note of control characters": ("note", "\x1b[31m\x07\x08", True),
    "note from right to left": ("note", "\u202eabc\u2066", True),
    "note of 100,000 characters": ("note", "x" * 100_000, True),
    "note of half a pair": ("note", "\U0001f600\ufffd\ufeff", True),
}

# A Parquet file with a decimal of 60 digits: no writer at hand makes one.
_DECIMAL = base64.b64decode(
    "UEFSMRUEFQoVDkwVAhUAEgAABRABAAAAMhUAFRIVFiwVAhUQFQYVBhw2ACgBMhgBMhERAAAACSACAAAAAgEBAgAVBB"
    "U0FRBMFQIVABIAABoAAF4BAACWFQAVEhUWLBUCFRAVBhUGHBgaAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJYYGgAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAACWFgAoGgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACWGBoAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAlhERAAAACSACAAAAAgEBAgAVBBk8NQAYBnNjaGVtYRUEABUMJQIYAmlkJQBMHAAAABUOFTQV"
    "AhgDYW10JQoVBBV4LFwVBBV4AAAAFgIZHBksJgAcFQwZNQAGEBkYAmlkFQIWAhZyFnomMiYIHDYAKAEyGAEyEREAGS"
    "wVBBUAFQIAFQAVEBUCADwWAhkGGSYAAgAAACYAHBUOGTUABhAZGANhbXQVAhYCFvACFtACJq4BJoIBHBgaAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAJYYGgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACWFgAoGgAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAACWGBoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAlhERABksFQQVABUCABUAFRAVAgA8KQYZJgACAAAA"
    "FuIDFgImCBbKAwAZHBgMQVJST1c6c2NoZW1hGPgBLy8vLy83QUFBQUFRQUFBQUFBQUtBQXdBQmdBRkFBZ0FDZ0FBQU"
    "FBQkJBQU1BQUFBQ0FBSUFBQUFCQUFJQUFBQUJBQUFBQUlBQUFCVUFBQUFCQUFBQU1ULy8vOEFBQUVIRUFBQUFDQUFB"
    "QUFFQUFBQUFBQUFBQU1BQUFCaGJYUUFBQUFLQUJBQUJBQUlBQXdBQ2dBQUFEd0FBQUFDQUFBQUFBRUFBQkFBRkFBSU"
    "FBWUFCd0FNQUFBQUVBQVFBQUFBQUFBQkJSQUFBQUFZQUFBQUJBQUFBQUFBQUFBQ0FBQUFhV1FBQUFRQUJBQUVBQUFB"
    "QUFBQUFBPT0AGCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRksHAAAHAAAAHUCAABQQVIx"
)


def _write_parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def _with(records: list[Record], **odd: pl.Expr) -> bytes:
    return _write_parquet(
        pl.DataFrame(records, schema=dict.fromkeys(COLUMNS, pl.String)).with_columns(**odd)
    )


def as_csv(records: list[Record]) -> bytes:
    """Returns records as CSV."""
    frame = pl.DataFrame(records, schema=dict.fromkeys(COLUMNS, pl.String))
    return frame.write_csv().encode()


def as_json(records: list[Record]) -> bytes:
    """Returns records as JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_parquet(records: list[Record]) -> bytes:
    """Returns records as Parquet, all of text."""
    return _with(records)


_LARGEST_DAY = pl.lit(2**31 - 1, pl.Int32).cast(pl.Date)
_LARGEST = pl.lit(2**63 - 1, pl.Int64)

# Of a file: its suffix, and what is made of its records.
FILES: Mapping[str, tuple[str, Callable[[Random, list[Record]], bytes]]] = {
    "a decimal of 60 digits": (".parquet", lambda _, __: _DECIMAL),
    "an infinite day": (".parquet", lambda _, r: _with(r, day=_LARGEST_DAY)),
    "an infinite instant": (
        ".parquet",
        lambda _, r: _with(r, at=_LARGEST.cast(pl.Datetime("us", "UTC"))),
    ),
    "an infinite local time": (
        ".parquet",
        lambda _, r: _with(r, at=_LARGEST.cast(pl.Datetime("us"))),
    ),
    "milliseconds beyond microseconds": (
        ".parquet",
        lambda _, r: _with(r, at=_LARGEST.cast(pl.Datetime("ms", "UTC"))),
    ),
    "nanoseconds": (".parquet", lambda _, r: _with(r, at=_LARGEST.cast(pl.Datetime("ns", "UTC")))),
    "an infinite day in a list": (
        ".parquet",
        lambda _, r: _with(r, day=pl.concat_list(_LARGEST_DAY)),
    ),
    "numbers beyond 64 bits": (
        ".parquet",
        lambda _, r: _with(r, pieces=pl.lit(2**64 - 1, pl.UInt64)),
    ),
    "real numbers that are none": (".parquet", lambda _, r: _with(r, price=pl.lit(float("nan")))),
    "infinite numbers": (".parquet", lambda _, r: _with(r, price=pl.lit(float("inf")))),
    "a struct for a text": (".parquet", lambda _, r: _with(r, note=pl.struct("id", "day"))),
    "bytes for a text": (".parquet", lambda _, r: _with(r, note=pl.lit(b"\xff\x00"))),
    "a file that is cut off": (".parquet", lambda _, r: as_parquet(r)[:-9]),
    "a flipped bit in Parquet": (".parquet", lambda random, r: _flip(random, as_parquet(r))),
    "a flipped bit in gzip": (".csv.gz", lambda random, r: _flip(random, gzip.compress(as_csv(r)))),
    "random bytes": (".csv", lambda random, _: random.randbytes(500)),
    "UTF-16": (".csv", lambda _, r: as_csv(r).decode().encode("utf-16")),
    "no bytes": (".csv", lambda _, __: b""),
    "a header alone": (".csv", lambda _, __: ",".join(COLUMNS).encode() + b"\n"),
    "a quote that is never closed": (".csv", lambda _, r: as_csv(r) + b'px,"'),
    "lines of other widths": (".csv", lambda _, r: as_csv(r) + b"px,1\npy,1,2,3,4,5,6,7,8\n"),
    "a header twice": (".csv", lambda _, r: as_csv(r) + as_csv(r)),
    "a JSON array": (".jsonl", lambda _, r: json.dumps(r).encode()),
    "deep JSON": (".jsonl", lambda _, __: b'{"id":' + b"[" * 50_000 + b"\n"),
    "JSON constants": (
        ".jsonl",
        lambda _, __: b'{"id":"px","price":NaN}\n{"id":"py","price":-Infinity}\n',
    ),
    "keys twice": (".jsonl", lambda _, __: b'{"id":"px","id":"py"}\n'),
    "another suffix": (".xlsx", lambda _, r: as_csv(r)),
    "CSV named Parquet": (".parquet", lambda _, r: as_csv(r)),
}


def _flip(random: Random, content: bytes) -> bytes:
    place = random.randrange(4, len(content) - 4)
    return (
        content[:place]
        + bytes([content[place] ^ (1 << random.randrange(8))])
        + content[place + 1 :]
    )
