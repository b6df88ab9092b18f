"""Timestamps without a zone as instants, where the zone of the files is declared.

| the local time | instant |
|---|---|
| a clock change repeats it | the earlier one |
| a clock change skips it | moved forward by what is skipped: 02:30 is 03:30 |
"""

from collections.abc import Iterator

import polars as pl


def place_local_times(
    lf: pl.LazyFrame, schema: pl.Schema, zone: str
) -> tuple[pl.LazyFrame, list[str]]:
    """Returns the rows with instants in UTC for timestamps without a zone, and what to note.

    Timestamps within lists and structs stay as they are.
    """
    local = [
        name
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is None
    ]
    if not local:
        return lf, []
    counts = lf.select(
        repeated=pl.sum_horizontal(_is_repeated(pl.col(name), zone).sum() for name in local),
        skipped=pl.sum_horizontal(_is_skipped(pl.col(name), zone).sum() for name in local),
    )
    repeated, skipped = counts.collect(engine="streaming").row(0)
    placed = lf.with_columns(_place(pl.col(name), zone).alias(name) for name in local)
    return placed, list(describe_clock_changes(zone, repeated, skipped))


def describe_clock_changes(zone: str | None, repeated: int, skipped: int) -> Iterator[str]:
    """Yields a note for each kind of local time that a clock change makes ambiguous."""
    if repeated:
        yield f"times that {zone} has twice, taken for the earlier instant: {repeated:,}"
    if skipped:
        yield f"times that {zone} skips, moved forward: {skipped:,}"


def _place(time: pl.Expr, zone: str) -> pl.Expr:
    placed = _localize(time, zone)
    # The offset of the day before is that from before the change. A day later in UTC, the time has
    # moved by what the clock skips.
    before = _localize(time.dt.offset_by("-1d"), zone).dt.offset_by("1d")
    return pl.coalesce(placed, before)


def _localize(time: pl.Expr, zone: str) -> pl.Expr:
    local = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _is_repeated(time: pl.Expr, zone: str) -> pl.Expr:
    later = time.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return later.dt.convert_time_zone("UTC") != _localize(time, zone)


def _is_skipped(time: pl.Expr, zone: str) -> pl.Expr:
    return time.is_not_null() & _localize(time, zone).is_null()
