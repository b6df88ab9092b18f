"""Rejected rows that a good row has superseded: a newer version of the same key keeps the contract.

Belongs here: the comparison of rejected rows with good ones. Does not belong here: judging rows
(`row_verdicts.py`), and the states of rejected rows (`quarantine/states.py`).

A corrected delivery holds a good row for each bad one. The bad row would have been superseded if it
had been good, so it counts neither as rejected nor against the table's limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from lakehouse.expressions import has_key
from lakehouse.system_columns import LINEAGE

_OF_REJECT = "_of_reject"  # ends the names of the columns of the rejected row


@dataclass(frozen=True)
class VersionOrder:
    """What makes two rows versions of the same thing, and which of them is newer.

    Attributes:
        key: the columns in which both agree.
        sequence: the columns of the contract that order them.
    """

    key: tuple[str, ...]
    sequence: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that order the versions totally: equal ones by their delivery."""
        return (*self.sequence, "_modified_at", *LINEAGE)

    @property
    def columns(self) -> list[str]:
        """Every column that a comparison needs."""
        return [*dict.fromkeys((*self.key, *self.order))]


def find_superseded(
    versions: VersionOrder, rejected: pl.DataFrame, good: Sequence[pl.LazyFrame]
) -> pl.DataFrame:
    """Returns the rejected rows that a newer good row supersedes.

    Args:
        versions: how rows are compared.
        rejected: the rejected rows, in at least the columns of `versions`.
        good: rows that keep the contract, in the same columns.

    Returns:
        The key and the origin of each of these rows.
    """
    named = [*dict.fromkeys((*versions.key, *LINEAGE))]
    # Without its key a row is a version of nothing.
    compared = rejected.select(versions.columns).drop_nulls(versions.key)
    if compared.is_empty():
        return compared.select(named)
    keys = compared.select(versions.key).unique()
    # Only the rows of these keys are kept: rejected rows are few, and good ones may be many.
    # Any of them may be the newer one of a row whose time cannot be read. If only the newest of
    # all counted, that row would be rejected again when a newer one came from an earlier file.
    of_keys = pl.concat(rows.select(versions.columns).filter(has_key(keys)) for rows in good)
    # The last columns of the order are the origin, which a join must not take for one of the key.
    own = compared.lazy().rename(
        {name: f"{name}{_OF_REJECT}" for name in versions.order if name not in versions.key}
    )
    pairs = of_keys.join(own, on=list(versions.key)).filter(_is_newer(versions))
    found = pairs.select(
        *versions.key, *(pl.col(f"{name}{_OF_REJECT}").alias(name) for name in LINEAGE)
    )
    return found.unique().collect(engine="streaming").select(named)


def _is_newer(versions: VersionOrder) -> pl.Expr:
    """Returns an expression that is true where the good row of a pair is the newer one."""
    newer, equal = pl.lit(False), pl.lit(True)
    for name in versions.order:
        if name in versions.key:
            continue
        good, bad = pl.col(name), pl.col(f"{name}{_OF_REJECT}")
        newer = newer | (equal & (good > bad).fill_null(False))
        # A rejected row may lack what orders it; then the next column decides, by the delivery.
        equal = equal & ((good == bad).fill_null(False) | bad.is_null())
    return newer
