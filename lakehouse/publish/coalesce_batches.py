"""Batches of a write into many files: joined into large ones, rows of rare partitions set apart.

A sink cuts each batch into a piece for each partition, and pays for each piece. Seven times fewer
batches make the write of 84 months of TPC-H line items a tenth faster, although all rows are copied
once more.

In Polars a text is a view into the buffer that it was read into, and a row that is kept keeps the
whole buffer. Rows wait in a sink until the row group of their file is full. In a partition that
gets few rows that may be until the end. With such rows in every batch, all text that was ever read
would stay in memory. So these rows leave their batch, get text of their own, and join a later batch
when there are enough of them, or the last one.

Measured on the same line items, where a few months are nearly empty: from 6 to 18 million rows
the peak grew by 58 % without setting them apart, and by 16 % with it.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import polars as pl
import polars.selectors as cs

from lakehouse.storage.limits import BatchLimits


class BatchCoalescer:
    """The batches of one sink's pass, joined in whatever order they come."""

    def __init__(self, partition: str, limits: BatchLimits) -> None:
        self.partition, self.limits = partition, limits
        self._waiting: list[pl.DataFrame] = []
        self._rare: list[pl.DataFrame] = []
        self._lock = Lock()

    def apply(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Returns the same rows in large batches; rows that still wait at the end are last."""
        schema = rows.collect_schema()
        batches = rows.map_batches(self._join, schema=schema, streamable=True)
        # A sink asks for the second part of a union when the first has ended, and not before.
        last = pl.LazyFrame({"": [None]}).map_batches(
            lambda _: self._finish(schema), schema=schema, streamable=True
        )
        return pl.concat([batches, last])

    def _join(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Returns a large batch when enough rows have come, and an empty one until then."""
        # Several threads of the streaming engine call this. The number of batches is bounded too:
        # a sparse write brings tiny ones, and each keeps all text that was read with it.
        with self._lock:
            self._waiting.append(batch)
            rows = sum(frame.height for frame in self._waiting)
            if rows < self.limits.large_rows and len(self._waiting) < self.limits.most_batches:
                return batch.clear()
            waiting, self._waiting = self._waiting, []
        return self._set_rare_apart(pl.concat(waiting, rechunk=True))

    def _finish(self, schema: pl.Schema) -> pl.DataFrame:
        """Returns the rows that still wait."""
        return pl.concat([schema.to_frame(), *self._waiting, *self._rare], rechunk=True)

    def _set_rare_apart(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Returns a batch without its rare rows, or with all that wait where they are enough."""
        if batch.height < self.limits.company_rows:
            return batch
        # Counted by NumPy: a query of Polars would wait for threads that its stream keeps busy.
        days = batch[self.partition].to_numpy().view("i8")
        values, counts = np.unique(days, return_counts=True)
        is_rare = np.isin(days, values[counts < self.limits.rare_share * batch.height])
        if not 0 < is_rare.sum() <= self.limits.most_rare_share * batch.height:
            return batch
        # Adding an empty text copies each text out of the buffer that it was read into.
        rare = batch.filter(pl.Series(is_rare)).with_columns(cs.string() + "")
        return pl.concat([batch.filter(pl.Series(~is_rare)), *self._add_rare(rare)], rechunk=True)

    def _add_rare(self, rare: pl.DataFrame) -> Sequence[pl.DataFrame]:
        """Returns all rare rows that wait, these among them, where they are enough to go on."""
        with self._lock:
            self._rare.append(rare)
            if sum(frame.height for frame in self._rare) < self.limits.company_rows:
                return ()
            company, self._rare = self._rare, []
            return company
