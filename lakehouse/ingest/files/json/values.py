"""The values of one JSON object as text: strings as they are, numbers as the file spells them.

Objects and lists become compact JSON text. What is no sound object is not a record; the error says
why.
"""

import json
from collections import Counter
from typing import Any, NoReturn

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.limits import IngestLimits

# Characters stay as delivered: the default would turn all but ASCII into escapes.
_quote = json.JSONEncoder(ensure_ascii=False).encode
_KINDS = {str: "a string", list: "a list", bool: "true or false", type(None): "null"}


class NotARecordError(ValueError):
    """Bytes that are no record; the message says why. Never leaves the readers of JSON."""


# Subclasses of text, so that `_write` can tell numbers from strings.
class _Number(str):
    """A number as the file spells it."""

    __slots__ = ()


class _Constant(_Number):
    """NaN or an infinity, which are no numbers of JSON."""

    __slots__ = ()


class JsonValues:
    """A parser of JSON in which nothing is lost: no digit, and no value of a repeated key."""

    def __init__(self, limits: IngestLimits, *, allow_nan: bool = False) -> None:
        """Prepares the parser.

        Args:
            limits: how deep values may be nested.
            allow_nan: whether `NaN` and `Infinity` count as numbers.
        """
        self._limits = limits
        # Python's parser takes NaN and Infinity, which JSON does not have, and of a repeated key it
        # keeps the last value without a word. The hooks refuse both. One decoder for all records:
        # `json.loads` makes one for each, which took a third of the time.
        self._decode = json.JSONDecoder(
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_Constant if allow_nan else _refuse_constant,
            object_pairs_hook=_unique,
        ).decode

    def parse(self, content: bytes) -> Any:  # noqa: ANN401 - any JSON
        """Returns the value of UTF-8 JSON, numbers as texts of a type of their own.

        Raises:
            NotARecordError: it is not one sound JSON value.
        """
        try:
            return self._decode(content.decode())
        except UnicodeDecodeError as error:
            raise NotARecordError(
                f"not valid UTF-8: {error.reason} at byte {error.start + 1}"
            ) from error
        except RecursionError as error:
            raise NotARecordError("nested too deeply") from error
        except json.JSONDecodeError as error:
            raise NotARecordError(f"invalid JSON: {error.msg} at {_locate(error)}") from error

    def read_record(self, value: Any) -> dict[str, str | None]:  # noqa: ANN401
        """Returns the values of an object as text, by key.

        Args:
            value: what `parse` returned, or something within it.

        Raises:
            NotARecordError: it is no object, or no text can hold it.
        """
        if not isinstance(value, dict):
            raise NotARecordError(f"not an object but {_KINDS.get(type(value), 'a number')}")
        most = self._limits.nesting
        if any(_is_nested_deeper(inner, most) for inner in value.values()):
            raise NotARecordError(f"nested more than {most} deep (nesting)")
        return {key: write_text(inner) for key, inner in value.items()}

    def read(self, content: bytes) -> dict[str, str | None]:
        """Returns the values of an object as text, by key.

        Raises:
            NotARecordError: the bytes are not one sound object.
        """
        record = self.read_record(self.parse(content))
        check_text(record)
        return record


def check_text(record: dict[str, str | None]) -> None:
    """Raises NotARecordError if no text can hold a value."""
    # Python reads the escape `\ud800` without a complaint; Polars' text cannot hold the result.
    try:
        "".join([text for text in record.values() if text]).encode()
    except UnicodeEncodeError as error:
        raise NotARecordError(
            "an escape is half of a surrogate pair, which no text can hold"
        ) from error


def _locate(error: json.JSONDecodeError) -> str:
    line = f"line {error.lineno}, " if error.lineno > 1 else ""
    return f"{line}character {error.colno}"


def _refuse_constant(name: str) -> NoReturn:
    raise NotARecordError(f"invalid JSON: {name} is not a number (Files: allow_nan)")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise NotARecordError(
            f"duplicate keys: {list_names([key for key in record if counts[key] > 1])}"
        )
    return record


def _is_nested_deeper(value: object, most: int) -> bool:
    """Returns whether a value has more levels of objects and lists than `most`."""
    if not isinstance(value, dict | list):
        return False
    level = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def write_text(value: object) -> str | None:
    """Returns a value as text: a string as it is, any other value as JSON."""
    if value is None:
        return None
    return str(value) if isinstance(value, str) else _write(value)


def _write(value: object) -> str:
    # Not `json.dumps`: numbers within nested values keep their spelling too.
    if isinstance(value, _Number):
        # JSON has no NaN, so within a nested value it is a text, as it is for Parquet.
        return f'"{value}"' if isinstance(value, _Constant) else str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(key)}:{_write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(item) for item in value) + "]"
    return _quote(value)
