"""Rejected rows that a good row has superseded: a newer version of the same key keeps the contract.

Belongs here: the comparison of rejected rows with good ones. Does not belong here: judging rows
(`row_verdicts.py`), and the states of rejected rows (`quarantine/states.py`).

A corrected delivery holds a good row for each bad one. The bad row would have been superseded if it
had been good, so it counts neither as rejected nor against the table's limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from lakehouse.expressions import has_key
from lakehouse.origin import select_name
from lakehouse.system_columns import LINEAGE

_Rows = TypeVar("_Rows", pl.DataFrame, pl.LazyFrame)

_FILE = select_name(pl.col("_source"))
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


def select_keyless(key: Sequence[str], rejected: _Rows) -> _Rows:
    """Selects the rejected rows without a readable key, which no newer row can name."""
    return rejected.filter(pl.any_horizontal(pl.col(key).is_null()))


def list_rewritten(rejected: pl.DataFrame, rows: pl.LazyFrame) -> pl.Series:
    """Returns the names of files of rejected rows that several files with other rows have."""
    own = rejected.select(_FILE, "_source").unique()
    if own.is_empty():
        return pl.Series(dtype=pl.String)
    named = rows.select(_FILE, "_source").filter(pl.col("name").is_in(own["name"].implode()))
    files = pl.concat([own.lazy(), named.unique()]).unique()
    several = files.group_by("name").len().filter(pl.col("len") > 1)
    return several.select("name").collect(engine="streaming").to_series()


def find_corrected(
    rejected: pl.DataFrame,
    good: pl.LazyFrame,
    names: pl.Series,
    values: Sequence[str],
    period: Sequence[str] = (),
) -> pl.DataFrame:
    """Returns the rejected rows whose file a later one of its name corrects.

    A later file corrects an earlier one of its name, in a period, if it has good rows there, and
    among them each good row of the earlier one.

    Args:
        rejected: the rejected rows, with origin, `_modified_at` and period.
        good: rows that keep the contract, in the same columns and those of the contract.
        names: the names that several files have, by `list_rewritten`.
        values: the columns of the contract.
        period: the column of the period; none where there are no periods.
    """
    place = ["name", *period]
    wanted = [*period, "_source", "_modified_at", *values]
    named = good.select(_FILE, *dict.fromkeys(wanted)).filter(pl.col("name").is_in(names.implode()))
    of_place = named.collect(engine="streaming").partition_by(place, as_dict=True)
    groups = rejected.with_columns(_FILE).partition_by([*place, "_source"], as_dict=True)
    corrected = [
        rows
        for where, rows in groups.items()
        if where[:-1] in of_place and _is_corrected(rows, of_place[where[:-1]], values)
    ]
    return pl.concat([rejected.clear(), *(rows.drop("name") for rows in corrected)])


def _is_corrected(rejected: pl.DataFrame, good: pl.DataFrame, values: Sequence[str]) -> bool:
    """Returns whether a later file holds each good row of the file of some rejected rows."""
    source, written_at = rejected.select("_source", "_modified_at").row(0)
    # Numbered, because a file may hold equal rows.
    numbered = good.with_columns(_number=pl.int_range(pl.len()).over("_source", *values))
    wanted, named = numbered.filter(pl.col("_source") == source), [*values, "_number"]
    # Any of them: else a row that is settled would be open again after one more delivery.
    later = numbered.filter(pl.col("_modified_at") > written_at).partition_by("_source")
    return any(
        wanted.join(rows, on=named, how="anti", nulls_equal=True).is_empty() for rows in later
    )
