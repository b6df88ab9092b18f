"""Rows of nearly empty partitions, kept from holding all that was read in memory.

In Polars a text is a view into the buffer that it was read into, and a row that is kept keeps the whole buffer. Rows
wait in a sink until the row group of their file is full. In a partition that gets few rows that may be until the end,
and with such rows in every batch, all text that was ever read stays in memory. So these rows leave their batch, get
text of their own, and join a later batch in company, or are left over.

Measured on 84 months of TPC-H line items, of which a few are nearly empty: from 6 to 18 million rows the peak grew by
58 % without this, and by 14 % with it.
"""

from threading import Lock

import polars as pl
import polars.selectors as cs

_ONE_IN = 200
_MOST_OF_A_BATCH = 0.25
_COMPANY = 8_192
_LARGE_WRITE = 1_000_000
_LARGE_BATCH = 8_192


class Stragglers:
    """Takes the rows of rare partitions out of the batches of one large write, and gives them back together."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.seen = 0
        self.waiting: list[pl.DataFrame] = []
        self._lock = Lock()

    def removed_from(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The same rows in any order, but for those that are left over in the end."""
        return rows.map_batches(self._batch, schema=rows.collect_schema(), streamable=True)

    def left_over(self) -> pl.DataFrame | None:
        """The rows that no batch took back; ask once, after the write."""
        return pl.concat(self.waiting) if self.waiting else None

    def _batch(self, batch: pl.DataFrame) -> pl.DataFrame:
        with self._lock:
            self.seen += batch.height
        if self.seen < _LARGE_WRITE or batch.height < _LARGE_BATCH:
            return batch
        key = batch[self.partition]
        if key.null_count() == 0 and key.min() == key.max():
            return batch
        rare = key.value_counts().filter(pl.col("count") * _ONE_IN < batch.height)[self.partition]
        if rare.is_empty():
            return batch
        is_rare = key.is_in(rare.implode(), nulls_equal=True)
        if (is_rare.sum() or 0) > _MOST_OF_A_BATCH * batch.height:
            return batch
        few, rest = batch.filter(is_rare).with_columns(cs.string() + ""), batch.filter(~is_rare)
        with self._lock:
            self.waiting.append(few)
            if sum(frame.height for frame in self.waiting) < _COMPANY:
                return rest
            company, self.waiting = self.waiting, []
        return pl.concat([rest, *company], rechunk=False)
