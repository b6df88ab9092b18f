"""The profile of one column from its values."""

import re
from collections.abc import Collection

import polars as pl

from lakehouse.ingest.files.recognize.cells import NULL_MARKS
from lakehouse.observe.profile.personal_data import suspect_personal_data
from lakehouse.observe.profile.profiles import ColumnProfile
from lakehouse.observe.profile.readings import BLANKS, Reading, choose_reading

_CODE = re.compile(r"(?:[Nn]o|[Nn]r|[Cc]ode|[Zz]ip|PLZ|plz|[Ss]ku|SKU|[Rr]ef|[Pp]hone)\.?$")
"""Names of numbers that count nothing: one with a letter or a leading zero may follow."""

_TOP = 5
_LOOKED_AT = 500
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LONGEST = 200


def profile_column(values: pl.Series, *, is_typed: bool) -> ColumnProfile:
    """Returns the profile of a column.

    Args:
        values: its values.
        is_typed: whether the file has types of its own.
    """
    if values.dtype != pl.String:
        return _profile_typed(values)
    marks = _count_marks(values)
    reading, doubt = choose_reading(values, marks)
    if reading.kind == "whole" and _CODE.search(values.name):
        reading = Reading("text", "text")
    if reading.kind == "text" or doubt:
        # In a text, such as the code of Namibia, a mark may be a value.
        unread = 0
        read = values
    else:
        frame = values.alias("value").to_frame()
        filled = frame.filter(
            pl.col("value").is_not_null()
            & ~pl.col("value").str.strip_chars(BLANKS).is_in(list(marks))
        )
        unread = int(filled.select((~reading.fits("value")).sum()).item() or 0)
        read = filled.filter(reading.fits("value")).select(reading.read("value")).to_series()
    texts = values.drop_nulls()
    return ColumnProfile(
        name=values.name,
        type=reading.words if not (is_typed and reading.kind == "text") else "text",
        reading=Reading("text", "text") if doubt else reading,
        nulls=values.null_count(),
        marks=marks,
        unread=unread,
        distinct=texts.n_unique(),
        least=_show(read.min()),
        greatest=_show(read.max()),
        quantiles=_find_quantiles(read),
        top=_count_top(texts),
        patterns=_count_top(_shape(texts.head(_LOOKED_AT * 20))),
        personal=suspect_personal_data(values.name, texts.head(_LOOKED_AT).to_list()),
        doubt=doubt,
        decimals=_count_decimals(texts, reading, marks) if reading.kind == "real" else None,
    )


def _profile_typed(values: pl.Series) -> ColumnProfile:
    is_flat = not values.dtype.is_nested()
    texts = values.drop_nulls()
    kind = {pl.Date: "day", pl.Datetime: "instant"}.get(values.dtype.base_type(), str(values.dtype))
    if values.dtype == pl.Datetime and values.dtype.time_zone is None:  # type: ignore[attr-defined]
        kind = "local time"
    return ColumnProfile(
        name=values.name,
        type=kind,
        reading=None,
        nulls=values.null_count(),
        marks={},
        unread=0,
        distinct=texts.n_unique() if is_flat else 0,
        least=_show(texts.min()) if is_flat else None,
        greatest=_show(texts.max()) if is_flat else None,
        quantiles=_find_quantiles(texts),
        top=_count_top(texts.cast(pl.String)) if is_flat and values.dtype != pl.Binary else (),
        patterns=(),
        personal=suspect_personal_data(values.name, []),
        doubt=None,
        dtype=values.dtype,
    )


def _count_decimals(texts: pl.Series, reading: Reading, marks: Collection[str]) -> int | None:
    """Returns how many decimals each number has; None if that differs, or some have an exponent."""
    bare = texts.str.strip_chars(BLANKS)
    bare = bare.filter((bare != "") & ~bare.is_in(list(marks)))
    mark = "," if reading.options.get("decimal") == "," else r"\."
    lengths = bare.str.extract(rf"{mark}(\d+)(?:[^\d.,eE]*)$").str.len_chars().unique()
    return lengths.item() if lengths.len() == 1 else None


def _count_marks(values: pl.Series) -> dict[str, int]:
    bare = values.str.strip_chars(BLANKS)
    counts = bare.filter(bare.is_in([*NULL_MARKS, ""])).value_counts(sort=True)
    return {str(mark): int(count) for mark, count in counts.iter_rows()}


def _find_quantiles(values: pl.Series) -> tuple[float, ...]:
    if not values.dtype.is_numeric() or values.is_empty():
        return ()
    return tuple(float(values.quantile(one) or 0) for one in _QUANTILES)


def _count_top(texts: pl.Series) -> tuple[tuple[str, int], ...]:
    counts = (
        texts.alias("value")
        .value_counts(sort=False)
        .sort(["count", "value"], descending=[True, False])
    )
    return tuple(
        (str(value)[:_LONGEST], int(count)) for value, count in counts.head(_TOP).iter_rows()
    )


def _shape(texts: pl.Series) -> pl.Series:
    return (
        texts.str.head(_LONGEST)
        .str.replace_all(r"\p{Nd}", "9")
        .str.replace_all(r"\p{Lu}", "A")
        .str.replace_all(r"[\p{L}--\p{Lu}]", "a")
        .str.replace_all(r"a{3,}", "a…")
        .str.replace_all(r"A{3,}", "A…")
    )


def _show(value: object) -> str | None:
    return None if value is None else str(value)[:_LONGEST]
