"""Reading a history: the version of a key that held at a moment."""

from collections.abc import Sequence

import polars as pl

from lakehouse.errors import SetupError
from lakehouse.system_columns import VALID


def join_as_of(
    rows: pl.LazyFrame,
    history: pl.LazyFrame,
    *,
    on: str | Sequence[str],
    at: str,
    columns: dict[str, str],
) -> pl.LazyFrame:
    """Rows with what was known of their key at a moment; null where nothing was, or the key was deleted.

    Args:
        rows: any rows; all come back, once each, in any order.
        history: a table of mode `history`.
        on: the column or columns of the key, by the same name on both sides.
        at: the moment, a column of `rows` of the type of `valid_from`.
        columns: the names of new columns, each by the column of the history that it holds.

    Raises:
        SetupError: it would take over when a version began or ended, or where it came from: a reader is made again
            where the values of a history changed, and only there.
    """
    if refused := sorted(name for name in columns if name in VALID or name.startswith("_")):
        raise SetupError(
            f"join_as_of cannot take over {', '.join(refused)}: they change without a change of what held on a day.\n"
            "Next: take over other columns of the history."
        )
    begins, ends, _ = VALID
    named = {f"_version_{new}": pl.col(old) for old, new in columns.items()}
    key = [on] if isinstance(on, str) else list(on)
    versions = history.select(*key, _begins=pl.col(begins), _ends=pl.col(ends), **named).sort(
        "_begins"
    )
    found = rows.sort(at).join_asof(
        versions, left_on=at, right_on="_begins", by=key, check_sortedness=False
    )
    holds = pl.col("_ends").is_null() | (pl.col(at) < pl.col("_ends"))
    taken = {name.removeprefix("_version_"): pl.when(holds).then(pl.col(name)) for name in named}
    return found.with_columns(**taken).drop("_begins", "_ends", *named, strict=False)
