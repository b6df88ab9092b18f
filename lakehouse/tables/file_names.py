"""The name of the file that brought a raw row, for days and columns that only the name holds."""

import polars as pl

from lakehouse.origin import select_name


def file_name() -> pl.Expr:
    """Returns the name of the file that delivered a raw row, with its folders: `2024/sales.csv`.

    For `day=` of a raw table, and for transforms that read one. Equal bytes under names of several
    days are then several deliveries.
    """
    return select_name(pl.col("_source")).alias("file_name")
