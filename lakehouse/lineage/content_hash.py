"""Early cut-off: readers of a period are not rebuilt if it was rebuilt with the same content.

Belongs here: the hash of a period's rows, and its comparison with the hash that the table's own log
has of the live rows. Does not belong here: whether files are rewritten (`publish`), which periods
of a reader are stale (`staleness.py`).

The hash covers every column that a reader can see, `_source` and `_offset` among them: a transform
may read these, and the rows that it rejects name them. So a period whose rows came from another
file counts as changed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import cache, reduce
from operator import add

import polars as pl

from lakehouse.calendar import WHOLE_TABLE, Days, PeriodKey
from lakehouse.lineage.commit_history import changes_rows, read_audit, read_commit_history
from lakehouse.lineage.period_history import list_periods
from lakehouse.lineage.touched_days import find_touched_days
from lakehouse.publish.audit import Audit
from lakehouse.publish.changes import Content
from lakehouse.storage.lake import Lake, list_data_files
from lakehouse.storage.log import Commit
from lakehouse.storage.revision import Revision
from lakehouse.tables.table_types import DerivedTable

SUM, SQUARES = "_content_sum", "_content_squares"
"""The hash of a row and its square, and the sums of them over the rows of a period."""

HASH_SUMS = {name: pl.col(name).sum() for name in (SUM, SQUARES)}
"""The two aggregates that make the hash of a period, over rows from `hash_rows`."""

_NO_ROWS = (0, 0)

# How many log entries are read to find when periods were made last. Each costs about a fifth of
# a millisecond on a local disk, and a request on S3. A period that was made longer ago counts as
# changed, which costs a rebuild of its readers: that sets how many are worth reading.
_FIRST_ENTRIES = (8, 32)
_ENTRIES_PER_PERIOD = 16
_MOST_ENTRIES = 512


def hash_rows(
    table: DerivedTable, rows: pl.LazyFrame, which: pl.Expr | None = None
) -> pl.LazyFrame:
    """Returns rows with the two columns whose sums, `HASH_SUMS`, are the hash of their content.

    Each value is hashed to 64 bits under a seed of its column, and the sum over a row is hashed
    again. The sum of these row hashes and the sum of their squares, both modulo 2^64, are the 128
    bits of the content, whatever the order of the rows. Two rows that differ have the same hash
    with odds of 2^-64, so a change passes unseen once in 10^19 comparisons.

    A null differs from every value, -0.0 from 0.0, and NaN equals NaN of the same bits, also inside
    lists and structs.

    Args:
        table: the table that the rows are for.
        rows: the rows.
        which: only the rows for which this holds count; all by default.
    """
    values = [
        _to_bits(pl.col(name), dtype).hash(seed=number)
        for number, (name, dtype) in enumerate(table.schema.items(), start=1)
    ]
    row = reduce(add, values).hash()
    counted = row if which is None else pl.when(which).then(row).otherwise(0)
    # Columns of their own: inside an aggregate, Polars hashes the row for each mention of it, at
    # five times the cost.
    hashed = rows.with_columns(counted.alias(SUM))
    return hashed.with_columns((pl.col(SUM) * pl.col(SUM)).alias(SQUARES))


def compare_days(
    table: DerivedTable, before: pl.LazyFrame, after: pl.LazyFrame, column: str
) -> pl.LazyFrame:
    """Returns the days of the rows that are on one side only, one row each.

    Args:
        table: the table that both sides are of.
        before: what a reader saw before a change.
        after: what it sees after it.
        column: the column that holds the day.
    """
    # By hash: a join takes -0.0 for 0.0.
    seen = [hash_rows(table, rows).select(column, SUM) for rows in (before, after)]
    one_sided = [one.join(other, on=[column, SUM], how="anti") for one, other in (seen, seen[::-1])]
    return pl.concat(one_sided).select(pl.col(column).unique())


def _to_bits(value: pl.Expr, dtype: object) -> pl.Expr:
    """Returns a value whose hash distinguishes -0.0 from 0.0; Polars hashes these two alike."""
    if not _has_floats(dtype):
        return value
    if isinstance(dtype, pl.List):
        return value.list.eval(_to_bits(pl.element(), dtype.inner))
    if isinstance(dtype, pl.Struct):
        fields = [
            _to_bits(value.struct.field(field.name), field.dtype).alias(field.name)
            for field in dtype.fields
        ]
        # The struct is put together again, so a null one must not become one of nulls.
        return pl.struct(value.is_null().alias("_is_null"), *fields)
    return value.reinterpret(dtype=pl.UInt32 if dtype == pl.Float32 else pl.UInt64)


def _has_floats(dtype: object) -> bool:
    if isinstance(dtype, pl.List):
        return _has_floats(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_has_floats(field.dtype) for field in dtype.fields)
    return dtype in (pl.Float32, pl.Float64)


def describe_method(table: DerivedTable) -> str:
    """Returns what a hash depends on beside the rows: hashes of different methods are not compared.

    These are the columns, the periods, and how Polars hashes in this process: by its version, and
    by the hashes of some values, because Polars promises neither across versions and machines.
    """
    columns = [f"{name}: {dtype}" for name, dtype in table.schema.items()]
    parts = (*columns, repr(table.partitions), _describe_polars())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _describe_polars() -> str:
    """Returns the version of Polars, and the hashes that it gives to values of each kind."""
    values: dict[str, list[object]] = {
        "integer": [0, 1, -(2**63), None],
        "text": ["", "a", "ä" * 40, None],
        "day": [date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31), None],
        "list": [[], ["a"], ["a", None], None],
        "struct": [{"a": 1, "b": "x"}, {"a": None, "b": "x"}, {"a": 1, "b": None}, None],
    }
    hashes = pl.DataFrame(values).select(pl.all().hash(seed=1)).rows()
    return f"{pl.__version__} {hashes}"


def note_content(
    lake: Lake,
    table: DerivedTable,
    base: Revision | None,
    audit: Audit,
    answers: Mapping[PeriodKey, tuple[int, int]],
) -> Audit:
    """Returns the audit with the content of its periods, and with those of them that are unchanged.

    Args:
        lake: where the tables are.
        table: the table that is made.
        base: the revision that the commit replaces.
        audit: the audit so far.
        answers: the two sums of `HASH_SUMS` for each period with rows.
    """
    periods, method = list_periods(table, audit), describe_method(table)
    hashes = {
        _name(period): "".join(f"{part:016x}" for part in answers.get(period, _NO_ROWS))
        for period in periods
    }
    audit = replace(audit, content=Content(method, hashes))
    if base is None:
        return audit
    filled = _find_filled(lake, table, base, periods)
    same = {
        period: found
        for period, found in _find_latest_audits(lake, table, base, filled).items()
        if _has_hash(found, method, period, hashes)
    }
    # A period without rows, then as now, is unchanged whoever made it, if anybody did.
    is_empty = {period: answers.get(period, _NO_ROWS) == _NO_ROWS for period in periods}
    unchanged = same.keys() | {one for one in periods if is_empty[one] and one not in filled}
    is_unchanged = bool(periods) and len(unchanged) == len(periods)
    # A contract may hide the bounds of personal data or forbid nulls, so files of another contract
    # are rewritten.
    is_same_contract = all(
        found.provenance.contract_version == table.contract_version for found in same.values()
    )
    days = [period for period in unchanged if isinstance(period, date)]
    spans = table.partitions.join_to_spans(days) if table.partitions else []
    return replace(
        audit,
        unchanged=tuple(spans),
        is_unchanged=is_unchanged,
        keeps_files=is_unchanged and is_same_contract,
    )


def _has_hash(audit: Audit, method: str, period: PeriodKey, hashes: Mapping[str, str]) -> bool:
    """Returns whether an audit has the same hash of a period."""
    content, name = audit.content, _name(period)
    if content is None or content.method != method:
        return False
    return content.hashes.get(name) == hashes[name]


def _name(period: PeriodKey) -> str:
    return "all" if period is WHOLE_TABLE else str(period)


def _find_latest_audits(
    lake: Lake, table: DerivedTable, base: Revision, filled: set[PeriodKey]
) -> dict[PeriodKey, Audit]:
    """Returns for each period with rows the audit with the hash of these rows.

    A period is missing where another program, or a commit without a hash, changed it last.
    """
    found: dict[PeriodKey, Audit] = {}
    most = min(_ENTRIES_PER_PERIOD * len(filled), _MOST_ENTRIES)
    for entries in sorted({*_FIRST_ENTRIES, max(most, *_FIRST_ENTRIES)}) if filled else ():
        after = max(base.version - entries, -1)
        history = read_commit_history(lake, table.name, after=after, until=base.version)
        # Anew for the longer range: a RESTORE may go back to before the shorter one.
        found, unknown = {}, set(filled)
        for commit in reversed(history.effective):
            if not unknown:
                break
            # The newest commit that touched a period decides, even if it has no hash to compare.
            audit = read_audit(commit)
            changed = _find_changed(lake, table, commit, audit, unknown)
            if audit is not None and audit.content is not None:
                found |= dict.fromkeys(changed, audit)
            unknown -= changed
        if not unknown or after < 0:
            break
    return found


def _find_filled(
    lake: Lake, table: DerivedTable, base: Revision, periods: Iterable[PeriodKey]
) -> set[PeriodKey]:
    """Returns the periods that may have rows in a file, among those asked for.

    The log is not searched for the others: most of them are new.
    """
    handle, column = lake.open_revision(table.name, base), table.properties.date_column
    calendar = table.partitions
    if calendar is None or column is None:
        return set(periods)
    files, bounds = list_data_files(handle), [f"min.{column}", f"max.{column}"]
    if (
        not set(bounds) <= set(files.columns)
        or files.select(bounds).null_count().sum_horizontal()[0]
    ):
        return set(periods)
    spans = [Days(*ends) for ends in files.select(bounds).unique().iter_rows()]
    return {
        period
        for period in periods
        if isinstance(period, date)
        and any(Days(period, calendar.period_end(period)).clip(span) for span in spans)
    }


def _find_changed(
    lake: Lake,
    table: DerivedTable,
    commit: Commit,
    audit: Audit | None,
    asked: set[PeriodKey],
) -> set[PeriodKey]:
    """Returns those of some periods whose content a commit determined, or may have changed."""
    if audit is not None:
        is_by_period = table.partitions is not None and audit.materialized
        return asked & set(list_periods(table, audit)) if is_by_period else set(asked)
    if not changes_rows(commit):
        return set()
    touched = find_touched_days(lake, table, commit)
    # When in doubt all: a change that is missed would leave readers stale for ever.
    if table.partitions is None or touched.every or touched.undated:
        return set(asked)
    return asked & set(table.partitions.period_keys(touched.days))
