"""The records of an Avro file as frames with types.

| in the file | in the frame |
|---|---|
| a union of null and one type | that type |
| a union of several types | JSON text |
| a map | a list of structs of `key` and `value` |
| an enum, a UUID, a decimal of more than 38 digits | text |
| `timestamp-millis`, `timestamp-micros` | an instant in UTC |
| `local-timestamp-millis`, `local-timestamp-micros` | a timestamp without a zone |
| a schema that is no record | the column `value` |
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lakehouse.ingest.files.typed.reader_process import CannotReadError

_RECORDS_AT_ONCE = 20_000
_MOST_DIGITS = 38
_PLAIN: Mapping[str, pl.DataType] = {
    "null": pl.Null(),
    "boolean": pl.Boolean(),
    "int": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "bytes": pl.Binary(),
    "fixed": pl.Binary(),
    "string": pl.String(),
    "enum": pl.String(),
}
_LOGICAL: Mapping[str, pl.DataType] = {
    "int date": pl.Date(),
    "int time-millis": pl.Time(),
    "long time-micros": pl.Time(),
    "long timestamp-millis": pl.Datetime("ms", "UTC"),
    "long timestamp-micros": pl.Datetime("us", "UTC"),
    "long local-timestamp-millis": pl.Datetime("ms"),
    "long local-timestamp-micros": pl.Datetime("us"),
}
_Change = Callable[[Any], Any]
"""What is done to a value before Polars takes it."""

_Found = tuple[pl.DataType, _Change | None]


def list_avro_frames(path: Path) -> Iterator[pl.DataFrame]:
    """Yields the records of an Avro file, a part at a time; one frame without rows if it has none.

    Raises:
        CannotReadError: it refers to itself, so that no table has a type for it.
    """
    import fastavro  # noqa: PLC0415, an extra

    with path.open("rb") as file:
        reader = fastavro.reader(file)
        schema: Any = reader.writer_schema
        is_record = isinstance(schema, dict) and schema["type"] == "record"
        if not is_record:
            schema = {"type": "record", "fields": [{"name": "value", "type": schema}]}
        dtype, change = _Types().translate(schema)
        assert isinstance(dtype, pl.Struct)  # noqa: S101, the type of a record
        wanted = pl.Schema({field.name: field.dtype for field in dtype.fields})
        count = 0
        for part in _list_parts(reader):
            rows = part if is_record else [{"value": value} for value in part]
            changed = [change(row) for row in rows] if change else rows
            yield pl.DataFrame(
                [
                    pl.Series(name, [row[name] for row in changed], dtype=kind)
                    for name, kind in wanted.items()
                ]
            )
            count += 1
        if not count:
            yield pl.DataFrame(schema=wanted)


def _list_parts(records: Iterator[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    for record in records:
        part.append(record)
        if len(part) == _RECORDS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


class _Types:
    """Translates the types of one schema; those with a name may be referred to later."""

    def __init__(self) -> None:
        self._named: dict[str, _Found | None] = {}

    def translate(self, schema: Any) -> _Found:  # noqa: ANN401, JSON
        """Returns the type of a column, and what is done to its values if anything is."""
        if isinstance(schema, str):
            return self._translate_name(schema)
        if isinstance(schema, list):
            return self._translate_union(schema)
        name = (
            schema.get("name") if schema["type"] in ("record", "error", "enum", "fixed") else None
        )
        if name:
            self._named[name] = None
        found = self._translate_type(schema)
        if name:
            self._named[name] = found
        return found

    def _translate_name(self, name: str) -> _Found:
        if name in _PLAIN:
            return _PLAIN[name], None
        known = self._named.get(name)
        if known is None:
            raise CannotReadError(f"the type {name} holds itself, so no table has a type for it")
        return known

    def _translate_union(self, kinds: list[Any]) -> _Found:
        others = [kind for kind in kinds if kind != "null"]
        if not others:
            return pl.Null(), None
        if len(others) == 1:
            return self.translate(others[0])
        for kind in others:
            self.translate(kind)  # its names may be referred to later
        return pl.String(), _skip_null(lambda value: json.dumps(value, default=_spell))

    def _translate_type(self, schema: dict[str, Any]) -> _Found:
        kind = schema["type"]
        if isinstance(kind, dict | list) or kind in self._named:
            return self.translate(kind)
        if kind in ("record", "error"):
            return self._translate_record(schema["fields"])
        if kind == "array":
            return _translate_list(*self.translate(schema["items"]))
        if kind == "map":
            inner, change = self.translate(schema["values"])
            entry = pl.Struct({"key": pl.String(), "value": inner})
            return pl.List(entry), _skip_null(lambda value: _list_entries(value, change))
        return _translate_plain(schema)

    def _translate_record(self, fields: list[Any]) -> _Found:
        types = {field["name"]: self.translate(field["type"]) for field in fields}
        changes = {name: change for name, (_, change) in types.items() if change is not None}
        dtype = pl.Struct({name: dtype for name, (dtype, _) in types.items()})
        if not changes:
            return dtype, None
        return dtype, _skip_null(
            lambda row: row | {name: change(row[name]) for name, change in changes.items()}
        )


def _translate_list(inner: pl.DataType, change: _Change | None) -> _Found:
    if change is None:
        return pl.List(inner), None
    return pl.List(inner), _skip_null(lambda values: [change(value) for value in values])


def _translate_plain(schema: dict[str, Any]) -> _Found:
    kind, logical = schema["type"], schema.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed"):
        digits, scale = schema["precision"], schema.get("scale", 0)
        if digits > _MOST_DIGITS:
            return pl.String(), _skip_null(lambda value: format(value, "f"))
        return pl.Decimal(digits, scale), None
    if logical == "uuid":
        return pl.String(), _skip_null(str)
    return _LOGICAL.get(f"{kind} {logical}") or _PLAIN[kind], None


def _skip_null(change: _Change) -> _Change:
    return lambda value: None if value is None else change(value)


def _list_entries(value: dict[str, Any], change: _Change | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": change(v) if change else v} for key, v in value.items()]


def _spell(value: Any) -> str:  # noqa: ANN401, what a union may hold
    return value.hex() if isinstance(value, bytes) else str(value)
