"""Expressions that are faster than a window function, a hash or a join.

On rows sorted by a key, comparing neighbours is 27 times faster than a window function. On rows in
the order of their delivery, where few values repeat, it is twice as fast as hashing each row.
"""

from collections.abc import Iterable

import polars as pl


def differs_from_previous(names: Iterable[str]) -> pl.Expr:
    """Returns whether a row differs from the one before it in some columns.

    The first row differs, unless all of these columns are null in it.
    """
    # `ne_missing`: beside a null, `!=` is null, and a change from or to null would not count.
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in names)


def differs_from_next(names: Iterable[str]) -> pl.Expr:
    """Returns whether a row differs from the one after it in some columns.

    The last row differs, unless all of these columns are null in it.
    """
    return pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in names)


def has_key(keys: pl.DataFrame) -> pl.Expr:
    """Returns whether a row has one of some keys.

    A join does the same. But a filter applies while a file is read, before the other columns are.
    Reading one in a hundred of 15 million rows takes 0.6 GB less memory this way, because the texts
    of the other rows are never loaded.

    Args:
        keys: one key per row; its columns are the columns of the key.
    """
    if keys.width == 1:
        key, wanted = pl.col(keys.columns[0]), keys.to_series()
    else:
        key, wanted = pl.struct(keys.columns), keys.to_struct()
    # A list in one row: `is_in` by a column of the same type is ambiguous in Polars.
    return key.is_in(wanted.implode(), nulls_equal=True)
