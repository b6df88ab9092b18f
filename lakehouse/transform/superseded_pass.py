"""Rejected rows of one pass that a newer row of the same pass supersedes.

Belongs here: reading both sides from what the pass wrote. Does not belong here: the comparison
(`superseded_rejects.py`).
"""

import polars as pl

from lakehouse.errors import DataError
from lakehouse.expressions import has_key
from lakehouse.publish.publish import PassResult
from lakehouse.transform.row_verdicts import (
    REJECTED_VERSIONS,
    JudgedRows,
    add_period,
    order_versions,
)
from lakehouse.transform.superseded_rejects import find_superseded


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


def refuse_superseded(judged: JudgedRows, findings: PassResult) -> None:
    """Refuses a pass that counted superseded rows as rejected.

    Args:
        judged: the rows that were judged.
        findings: what the pass wrote and answered.

    Raises:
        SupersededRowsError: naming these rows, for another pass.
    """
    table, rejected = judged.table, findings.answers.get(REJECTED_VERSIONS)
    if rejected is None or rejected.is_empty():
        return
    # Most rejected rows have a key of their own, which the written files show at little cost.
    versions = order_versions(table)
    keys = rejected.select(table.properties.key).drop_nulls().unique()
    written = add_period(table, findings.written_rows).filter(has_key(keys))
    keys = written.select(versions.key).unique().collect(engine="streaming")
    if keys.is_empty():
        return
    good = add_period(table, judged.kept).filter(has_key(keys))
    found = find_superseded(versions, rejected, [good])
    if found.height:
        rows = found.select(*table.properties.key, "_source", "_offset")
        raise SupersededRowsError(table.name, rows)
