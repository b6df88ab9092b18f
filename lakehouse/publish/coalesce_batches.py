"""The batches of a write into many files: put together into large ones, and rows of nearly empty partitions set apart.

A sink cuts each batch into a piece for each partition, and pays for each piece: seven times fewer batches make the
write of 84 months of TPC-H line items a tenth faster, although all rows are copied once more.

In Polars a text is a view into the buffer that it was read into, and a row that is kept keeps the whole buffer. Rows
wait in a sink until the row group of their file is full. In a partition that gets few rows that may be until the end,
and with such rows in every batch, all text that was ever read stays in memory. So these rows leave their batch, get
text of their own, and join a later batch in company, or the last one.

Measured on the same line items, of which a few months are nearly empty: from 6 to 18 million rows the peak grew by 58 %
without setting them apart, and by 16 % with it.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np
import polars as pl
import polars.selectors as cs

_LARGE = 131_072
_BATCHES = 32
_ONE_IN = 200
_MOST_OF_A_BATCH = 0.25
_COMPANY = 8_192


class BatchCoalescer:
    """Puts the batches of one write together, in any order; for the pass of one sink."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self._waiting: list[pl.DataFrame] = []
        self._rare: list[pl.DataFrame] = []
        self._lock = Lock()

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The same rows, in large batches; what waits when they end comes last."""
        schema = rows.collect_schema()
        batches = rows.map_batches(self._batch, schema=schema, streamable=True)
        # A sink asks for the second part of a union when the first has ended, and not before.
        last = pl.LazyFrame({"": [None]}).map_batches(
            lambda _: self._last(schema), schema=schema, streamable=True
        )
        return pl.concat([batches, last])

    def _batch(self, batch: pl.DataFrame) -> pl.DataFrame:
        with self._lock:
            self._waiting.append(batch)
            # Of few rows many batches come together, and each keeps the text that it was read with.
            if (
                sum(frame.height for frame in self._waiting) < _LARGE
                and len(self._waiting) < _BATCHES
            ):
                return batch.clear()
            together, self._waiting = self._waiting, []
        return self._without_rare(pl.concat(together, rechunk=True))

    def _last(self, schema: pl.Schema) -> pl.DataFrame:
        return pl.concat([schema.to_frame(), *self._waiting, *self._rare], rechunk=True)

    def _without_rare(self, batch: pl.DataFrame) -> pl.DataFrame:
        if batch.height < _COMPANY:
            return batch
        # Counted by NumPy: what Polars does apart from its stream waits for threads that the stream keeps busy.
        days = batch[self.partition].to_numpy().view("i8")
        values, counts = np.unique(days, return_counts=True)
        is_rare = np.isin(days, values[counts * _ONE_IN < batch.height])
        if not 0 < is_rare.sum() <= _MOST_OF_A_BATCH * batch.height:
            return batch
        few, rest = (
            batch.filter(pl.Series(is_rare)).with_columns(cs.string() + ""),
            batch.filter(pl.Series(~is_rare)),
        )
        return pl.concat([rest, *self._in_company(few)], rechunk=True)

    def _in_company(self, few: pl.DataFrame) -> Sequence[pl.DataFrame]:
        """All rare rows that wait, these among them, where they are enough to go on."""
        with self._lock:
            self._rare.append(few)
            if sum(frame.height for frame in self._rare) < _COMPANY:
                return ()
            company, self._rare = self._rare, []
            return company
