"""As-of joins: rows with the version of their key that was valid at a moment."""

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
    """Returns rows with the version of their key that was valid at a moment.

    The new columns are null where no version was valid yet, or where the key was deleted.

    Args:
        rows: any rows; each comes back once, in any order.
        history: a table with `mode="history"`.
        on: the column or columns of the key, by the same name on both sides.
        at: the moment, a column of `rows` of the type of `valid_from`.
        columns: columns of the history, each with the name that it gets in the result.

    Raises:
        SetupError: `columns` names when a version began or ended, or its origin. A reader is
            rebuilt only where the values of a history changed; these can change without that.
    """
    # By the names in the history. By the new ones, `valid_from` under another name got through.
    if refused := sorted(name for name in columns if name in VALID or name.startswith("_")):
        raise SetupError(
            f"join_as_of cannot return {', '.join(refused)}: they change without a change in what "
            "was valid on a day.\n"
            "Next: name other columns of the history."
        )
    begins, ends, _ = VALID
    # Under names of their own, for `rows` may have columns with the names of the history's.
    named = {f"_version_{new}": pl.col(old) for old, new in columns.items()}
    key = [on] if isinstance(on, str) else list(on)
    versions = history.select(*key, _begins=pl.col(begins), _ends=pl.col(ends), **named)
    # Polars cannot check the order within each key, so both sides are sorted here.
    found = rows.sort(at).join_asof(
        versions.sort("_begins"), left_on=at, right_on="_begins", by=key, check_sortedness=False
    )
    # The last version that had begun may have ended: its key was deleted.
    is_valid = pl.col("_ends").is_null() | (pl.col(at) < pl.col("_ends"))
    results = {
        name.removeprefix("_version_"): pl.when(is_valid).then(pl.col(name)) for name in named
    }
    return found.with_columns(**results).drop("_begins", "_ends", *named, strict=False)
