"""Rejected rows of one pass that a newer row of the same pass supersedes.

Belongs here: reading both sides from what the pass wrote. Does not belong here: the comparison
(`superseded_rejects.py`).
"""

import polars as pl

from lakehouse.errors import DataError
from lakehouse.expressions import has_key
from lakehouse.publish.publish import PassResult
from lakehouse.system_columns import LINEAGE
from lakehouse.tables.contract import to_polars_schema
from lakehouse.transform.row_verdicts import (
    REJECTED_VERSIONS,
    JudgedRows,
    add_period,
    order_versions,
)
from lakehouse.transform.superseded_rejects import (
    find_corrected,
    find_superseded,
    list_rewritten,
    select_keyless,
)


class SupersededRowsError(DataError):
    """A pass counted rows as rejected that a newer row supersedes; nothing was published.

    Attributes:
        rows: key and origin of these rows.
    """

    def __init__(self, table: str, rows: pl.DataFrame) -> None:
        super().__init__(
            f"{table}: {rows.height:,} rejected rows are superseded.\nNext: run again."
        )
        self.rows = rows


def refuse_superseded(judged: JudgedRows, read: pl.LazyFrame, findings: PassResult) -> None:
    """Refuses a pass that counted superseded rows as rejected.

    Args:
        judged: the rows that were judged.
        read: the rows of the first input that the transform was given.
        findings: what the pass wrote and answered.

    Raises:
        SupersededRowsError: naming these rows, for another pass.
    """
    table, rejected = judged.table, findings.answers.get(REJECTED_VERSIONS)
    if rejected is None or rejected.is_empty():
        return
    found = [_find_newer(judged, findings, rejected), _find_corrected(judged, read, rejected)]
    named = [*table.properties.key, *LINEAGE]
    rows = pl.concat(rows.select(named) for rows in found)
    if rows.height:
        raise SupersededRowsError(table.name, rows)


def _find_newer(judged: JudgedRows, findings: PassResult, rejected: pl.DataFrame) -> pl.DataFrame:
    """Returns the rejected rows that a newer good row of their key supersedes."""
    table, versions = judged.table, order_versions(judged.table)
    # Most rejected rows have a key of their own, which the written files show at little cost.
    keys = rejected.select(table.properties.key).drop_nulls().unique()
    written = add_period(table, findings.written_rows).filter(has_key(keys))
    keys = written.select(versions.key).unique().collect(engine="streaming")
    if keys.is_empty():
        return rejected.clear()
    good = add_period(table, judged.kept).filter(has_key(keys))
    return find_superseded(versions, rejected, [good])


def _find_corrected(judged: JudgedRows, read: pl.LazyFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Returns the rejected rows without a readable key whose file a later one corrects."""
    table = judged.table
    keyless = select_keyless(table.properties.key, rejected)
    # Nearly always no other file has the name, which one column of the input shows.
    names = list_rewritten(keyless, read)
    if names.is_empty():
        return keyless.clear()
    period = [name for name in order_versions(table).key if name not in table.properties.key]
    values = list(to_polars_schema(table.contract))
    return find_corrected(keyless, add_period(table, judged.kept), names, values, period)
