"""Full dumps as a source: what was deleted between two, and whether one is too small.

Belongs here: deletes that no row reports. A dump is all rows of one moment, by the contract's first
`sequence` column.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise

import polars as pl

from lakehouse.errors import DataError, SetupError
from lakehouse.system_columns import DELETED, LAST, LINEAGE, ORIGIN
from lakehouse.tables.keyed_table import FullDumps, KeyedTable
from lakehouse.transform.keyed.apply_events import EventSemantics

_NEXT = "_next"
NO_RECORD = -1
"""The `_offset` of a delete that was concluded from a dump without the key."""

Moment = date | datetime | int


def list_dumps(
    table: KeyedTable, valid: pl.LazyFrame, broke: pl.LazyFrame, stored: pl.LazyFrame | None
) -> pl.DataFrame:
    """Returns the full dumps among some events, oldest first, after the last one that is stored.

    Args:
        table: the table.
        valid: the events to apply.
        broke: key, moment and origin of the events that broke the contract.
        stored: the rows of the table; None when it is made from all events.

    Returns:
        One row for each dump: moment, `rows` (keys), `is_whole`, `is_declared`, `_source`,
        `_modified_at`, and `is_next`: false where it was taken before what is stored.

    Raises:
        DataError: one is too small to be believed.
        SetupError: a declared moment is no value of the moment's type.
    """
    assert table.full_dumps is not None  # noqa: S101
    semantics = EventSemantics.of(table)
    moment = semantics.moment
    dumps = _find_dumps(valid, broke, semantics.key, moment)
    # The stored rows have been emptied already where that was declared. A change of the declaration
    # changes the code version, and so makes the table from all events.
    emptied = table.full_dumps.emptied if stored is None else ()
    dumps = add_empty_dumps(table.name, dumps, moment, emptied)
    dumps = dumps.with_columns(is_next=pl.lit(True))
    if stored is not None:
        newest = pl.col(LAST).struct.field(moment).max().alias(moment)
        shown = {"rows": semantics.is_visible.sum(), "is_whole": pl.lit(True)}
        last = stored.select(newest, **shown).collect()
        before = last[moment][0]
        if before is not None:  # a table without a row has seen no dump
            dumps = dumps.with_columns(is_next=pl.col(moment) > before)
            # The stored rows take the place of the last dump, so their number is its size.
            last = last.cast({"rows": dumps.schema["rows"]})
            dumps = pl.concat([last, dumps], how="diagonal")
    check_dump_sizes(table.name, dumps, moment, table.full_dumps)
    return dumps


def _find_dumps(
    valid: pl.LazyFrame, broke: pl.LazyFrame, key: tuple[str, ...], moment: str
) -> pl.DataFrame:
    """Returns the dumps among some rows, oldest first.

    Columns: moment, `rows` (keys), `is_whole`, `_source`, `_modified_at`.

    A dump is known by its valid rows: a broken row may not even say when its dump was taken.
    """
    named = [*key, moment, "_source", "_modified_at"]
    present = pl.concat(
        [
            valid.select(named).with_columns(_is_valid=True),
            broke.select(named).with_columns(_is_valid=False),
        ],
        how="diagonal",
    )
    # The least `_source` names a dump of several files, in whatever order they came.
    has_key = pl.all_horizontal(pl.col(key).is_not_null())
    dumps = present.group_by(moment).agg(
        rows=pl.struct(key).filter(has_key).n_unique(),
        is_whole=has_key.all(),
        _source=pl.col("_source").min(),
        _modified_at=pl.col("_modified_at").max(),
        _is_valid=pl.col("_is_valid").any(),
    )
    return (
        dumps.filter("_is_valid")
        .drop("_is_valid")
        .drop_nulls(moment)
        .sort(moment)
        .collect(engine="streaming")
    )


def add_empty_dumps(
    table: str, dumps: pl.DataFrame, moment: str, emptied: Sequence[str]
) -> pl.DataFrame:
    """Returns the dumps and the declared moments of an empty source, with `is_declared`.

    Such a moment has the origin of the dump before it, and there has to be one: before the first
    there is no key. A dump of that moment counts for what it holds.

    Raises:
        SetupError: a declared moment is no value of the moment's type.
    """
    at = _parse_moments(table, "emptied", emptied, moment, dumps.schema[moment])
    declared = {
        "rows": pl.lit(0, dumps.schema["rows"]),
        "is_whole": pl.lit(True),
        "is_declared": pl.lit(True),
    }
    empty = pl.DataFrame({moment: at}).unique().join(dumps, on=moment, how="anti")
    delivered = dumps.with_columns(is_declared=pl.lit(False))
    return (
        pl.concat([delivered, empty.with_columns(**declared)], how="diagonal")
        .sort(moment)
        .with_columns(pl.col("_source", "_modified_at").forward_fill())
        .drop_nulls("_source")
    )


def leave_out_refused(table: KeyedTable, events: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the events without those of dumps that are declared as wrong for good.

    Raises:
        SetupError: a declared moment is no value of the moment's type.
    """
    moment = EventSemantics.of(table).moment
    if table.full_dumps is None or not table.full_dumps.refused:
        return events
    refused = table.full_dumps.refused
    wrong = _parse_moments(table.name, "refused", refused, moment, events.collect_schema()[moment])
    # A row without a moment is of no dump that could be meant.
    return events.filter(~pl.col(moment).is_in(wrong.implode()).fill_null(False))


def _parse_moments(
    table: str, option: str, texts: Sequence[str], moment: str, dtype: pl.DataType
) -> pl.Series:
    """Returns declared moments as values of the moment's type."""
    try:
        text = pl.Series(moment, list(texts), dtype=pl.String)
        if isinstance(dtype, pl.Date | pl.Datetime):
            return text.str.strptime(dtype)
        return text.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise SetupError(
            f"{table}: FullDumps({option}={tuple(texts)!r}) does not fit {moment}, "
            f"which is {dtype}: {error}\n"
            "Next: write a value of this type."
        ) from None


def find_deletes(
    present: pl.DataFrame, dumps: pl.DataFrame, key: tuple[str, ...], moment: str
) -> pl.DataFrame:
    """Returns a delete for each key that a dump has and the next one has not.

    Args:
        present: key and moment of each row of the dumps; stored keys have the moment of the last
            stored dump.
        dumps: the dumps, as `list_dumps` returns them.
        key: the columns of the key.
        moment: the column of the moment.

    Returns:
        Key, moment, `_source`, `_modified_at`, `_offset` (`NO_RECORD`) and `_deleted`.
    """
    # A dump with a row whose key cannot be read says what is there, not what was deleted; the next
    # whole one says that. A dump is compared with the next one alone: a key that returns later was
    # deleted in between.
    whole = pl.when("is_whole").then(pl.col(moment))
    following = dumps.select(moment, whole.shift(-1).backward_fill().alias(_NEXT)).drop_nulls()
    expected = (
        present.unique([*key, moment])
        .join(following, on=moment)
        .select(*key, pl.col(_NEXT).alias(moment))
    )
    missing = expected.join(present, on=[*key, moment], how="anti")
    return missing.join(dumps.select(moment, "_source", "_modified_at"), on=moment).with_columns(
        pl.lit(NO_RECORD, ORIGIN[LINEAGE[1]]).alias(LINEAGE[1]), pl.lit(True).alias(DELETED)
    )


def check_dump_sizes(table: str, dumps: pl.DataFrame, moment: str, promised: FullDumps) -> None:
    """Refuses a dump much smaller than the one before: it would delete what it merely lacks.

    Raises:
        DataError: naming the dump, both sizes, and how to accept it.
    """
    sizes = dumps.select(moment, "rows", "is_declared").iter_rows()
    for (_, before, _), (when, rows, is_declared) in pairwise(sizes):
        is_accepted = is_declared or str(when) in promised.accepted
        if is_accepted or rows >= before * (1 - promised.may_shrink):
            continue
        source = dumps.filter(pl.col(moment) == when)["_source"][0]
        raise DataError(
            f"{table}: the dump of {when} ({source}) has {rows:,} rows, the one before {before:,}: "
            f"{1 - rows / before:.1%} fewer, but {promised.may_shrink:.1%} are allowed. "
            "Nothing was published.\nNext: deliver the whole dump; or, if the rows are really "
            f"gone, declare FullDumps(accepted=({str(when)!r},)); or leave the dump out for good: "
            f"FullDumps(refused=({str(when)!r},))."
        )
