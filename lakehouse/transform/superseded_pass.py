"""Rejected rows of one pass that a newer row of the same pass supersedes.

Belongs here: reading both sides from what the pass wrote. Does not belong here: the comparison
(`superseded_rejects.py`).
"""

import polars as pl

from lakehouse.errors import DataError
from lakehouse.expressions import has_key
from lakehouse.publish.publish import PassResult
from lakehouse.transform.inputs import InputFrames
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


def refuse_superseded(judged: JudgedRows, opened: InputFrames, findings: PassResult) -> None:
    """Refuses a pass that counted superseded rows as rejected.

    Args:
        judged: the rows that were judged.
        opened: the inputs that they came from.
        findings: what the pass wrote and answered.

    Raises:
        SupersededRowsError: naming these rows, for another pass.
    """
    table, rejected = judged.table, findings.answers.get(REJECTED_VERSIONS)
    if rejected is None or rejected.is_empty():
        return
    keys = rejected.select(table.properties.key).drop_nulls().unique()
    versions = order_versions(table)
    # The files have no time of delivery; each delivery has one, and those of few keys are few.
    named = [name for name in versions.columns if name != "_modified_at"]
    written = add_period(table, findings.written_rows).filter(has_key(keys)).select(named).collect()
    sources = written["_source"].unique().implode()
    delivered = opened.first.filter(pl.col("_source").is_in(sources))
    moments = delivered.select("_source", "_modified_at").unique().collect()
    good = written.join(moments, on="_source").lazy()
    found = find_superseded(versions, rejected, [good])
    if found.height:
        rows = found.select(*table.properties.key, "_source", "_offset")
        raise SupersededRowsError(table.name, rows)
