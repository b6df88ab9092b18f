"""Full dumps as a source: what is gone since the dump before, and whether a dump is too small to be believed.

Belongs here: deletes that no row tells of. A dump is all rows of one moment, as the contract's first `sequence`
column tells it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise

import polars as pl

from lakehouse.errors import DataError, SetupError
from lakehouse.system_columns import DELETED, LINEAGE, ORIGIN
from lakehouse.tables.table_types import FullDumps

_NEXT = "_next"
NO_RECORD = -1
"""The `_offset` of a delete that was concluded from a dump without the key."""

Moment = date | datetime | int


def list_dumps(
    valid: pl.LazyFrame, broke: pl.LazyFrame, key: tuple[str, ...], moment: str
) -> pl.DataFrame:
    """The dumps among some rows, oldest first: moment, `rows` (keys), `is_whole`, `_source` and `_modified_at`.

    A dump is known by its valid rows: a broken one may not even know when it was taken.
    """
    present = pl.concat(
        [valid.with_columns(_is_valid=True), broke.with_columns(_is_valid=False)], how="diagonal"
    )
    named = pl.all_horizontal(pl.col(key).is_not_null())
    dumps = present.group_by(moment).agg(
        rows=pl.struct(key).filter(named).n_unique(),
        is_whole=named.all(),
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
    """All dumps of a source, with the moments at which it was empty in their places; `is_declared` tells these.

    Such a moment has the origin of the dump before it, and there has to be one: before the first there is no key.
    A dump of that moment counts for what it holds.

    Raises:
        SetupError: what is declared is no moment.
    """
    dtype = dumps.schema[moment]
    try:
        text = pl.Series(moment, list(emptied), dtype=pl.String)
        at = (
            text.str.strptime(dtype)
            if isinstance(dtype, pl.Date | pl.Datetime)
            else text.cast(dtype)
        )
    except pl.exceptions.PolarsError as error:
        raise SetupError(
            f"{table}: FullDumps(emptied={emptied!r}) is not of {moment}, which is {dtype}: {error}\n"
            "Next: write the value as this column has it."
        ) from None
    told = {
        "rows": pl.lit(0, dumps.schema["rows"]),
        "is_whole": pl.lit(True),
        "is_declared": pl.lit(True),
    }
    empty = pl.DataFrame({moment: at}).unique().join(dumps, on=moment, how="anti")
    every = [dumps.with_columns(is_declared=pl.lit(False)), empty.with_columns(**told)]
    return (
        pl.concat(every, how="diagonal")
        .sort(moment)
        .with_columns(pl.col("_source", "_modified_at").forward_fill())
        .drop_nulls("_source")
    )


def find_deletes(
    present: pl.DataFrame, dumps: pl.DataFrame, key: tuple[str, ...], moment: str
) -> pl.DataFrame:
    """A delete for each key that a dump has and the next one has not.

    Args:
        present: key and moment of each row of the dumps; of the keys that stand, with the moment of the last dump.
        dumps: the dumps, as `with_emptied` gives them, the last one that was folded before among them.
        key: the columns of the key.
        moment: the column of the moment.

    Returns:
        Key, moment, `_source`, `_modified_at`, `_offset` (`NO_RECORD`) and `_deleted`.
    """
    # A dump of which a row could not be told apart says what is there, not what is gone: the next whole one does.
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
    """Refuse a dump that is much smaller than the one before: it would delete what it merely lacks.

    Raises:
        DataError: naming the dump, both sizes, and how to accept it.
    """
    for (_, before, _), (when, rows, is_declared) in pairwise(
        dumps.select(moment, "rows", "is_declared").iter_rows()
    ):
        if (
            rows < before * (1 - promised.may_shrink)
            and not is_declared
            and str(when) not in promised.accepted
        ):
            source = dumps.filter(pl.col(moment) == when)["_source"][0]
            raise DataError(
                f"{table}: the dump of {when} ({source}) has {rows:,} rows, the one before {before:,}: "
                f"{1 - rows / before:.1%} fewer, {promised.may_shrink:.1%} are allowed. Nothing was published.\n"
                f"Next: deliver it whole; or accept it on purpose: FullDumps(accepted=({str(when)!r},))."
            )
