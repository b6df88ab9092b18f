"""Dead letters that a later delivery has settled, so that nobody has to act on them.

Belongs here: finding them, and counting the dead letters that are left. Does not belong here: the
states of dead letters (`quarantine/states.py`); a settled letter stays open there until a replay
releases it.
"""

import polars as pl

from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.origin import select_name
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import OPEN, fill_states, is_in
from lakehouse.storage.lake import Lake

_LETTER = ("table", "_source", "_ingested_at", "_offset")


def count_open_dead_letters(lake: Lake) -> dict[str, int]:
    """Counts the dead letters of each raw table that somebody still has to act on."""
    if lake.open_shared(DEAD_LETTERS) is None:
        return {}
    letters = fill_states(lake.scan(DEAD_LETTERS)).filter(is_in(OPEN)).select(*_LETTER)
    settled = select_settled_letters(lake, letters)
    # The `_offset` of a whole file is null, and must equal itself.
    left = letters.join(settled, on=_LETTER, how="anti", nulls_equal=True)
    return dict(left.group_by("table").len().collect().iter_rows())


def select_settled_letters(lake: Lake, letters: pl.LazyFrame) -> pl.LazyFrame:
    """Selects those of some dead letters that a later delivery has settled.

    The letter of a whole file is settled by a later delivery of the same name with other bytes. If
    that one is no better, it has a dead letter of its own.

    Args:
        lake: where the tables are.
        letters: dead letters, with at least the columns of the result.

    Returns:
        `table`, `_source`, `_ingested_at` and `_offset` of the settled letters, each once.
    """
    if lake.open_shared(DELIVERIES) is None:
        return letters.select(*_LETTER).clear()
    file = select_name(pl.col("_source")).alias("file")
    others = lake.scan(DELIVERIES).select("table", "_source", "_ingested_at", file)
    # The letter of a record stays open: the next file of that name may be tomorrow's, which does
    # not hold the record.
    of_files = letters.filter(pl.col("_offset").is_null()).select(*_LETTER, file)
    pairs = of_files.join(others, on=["table", "file"])
    is_later = pl.col("_ingested_at_right") > pl.col("_ingested_at")
    has_other_bytes = pl.col("_source_right") != pl.col("_source")
    return pairs.filter(is_later & has_other_bytes).select(*_LETTER).unique()
