"""The columns of records that each name their own values: JSON objects and XML elements.

The columns are the union over the file. Names that differ only by case are one column, unless some
record has both. What a name becomes in the table is known only when all names of the file are, so
columns have provisional names until then.
"""

from collections.abc import Callable, Collection, Mapping

from lakehouse.ingest.files.header_names import (
    clean_name,
    fold_names,
    land_names,
    list_names,
    refuse_missing,
    set_columns,
)
from lakehouse.ingest.files.record_ledger import RecordLedger

_KNOWN_SHAPES = 10_000
"""How many sets of keys are remembered; records of a file have few, or nearly each its own."""


class TooManyColumnsError(Exception):
    """A record with more new keys than the file may have columns; the message names them."""


class RecordColumns:
    """What takes the records of a file as rows of its ledger.

    Attributes:
        has_records: whether there was a record, so that something can be said about columns.
    """

    def __init__(
        self,
        ledger: RecordLedger,
        required: Collection[str],
        clean: Callable[[str, int], str] = clean_name,
        own: Collection[str] = (),
    ) -> None:
        """Begins without a record.

        Args:
            ledger: what takes the rows.
            required: columns without which the file is refused.
            clean: returns the wanted name of a column from its key and its position.
            own: keys that keep their names before all others.
        """
        self.has_records = False
        self._ledger = ledger
        self._required = required
        self._clean = clean
        self._own = frozenset(own)
        self._places: dict[str, int] = {}
        self._folds: set[str] = set()
        self._apart: set[str] = set()
        self._shapes: dict[tuple[str, ...], list[int]] = {}

    def add(self, record: Mapping[str, str | None], size: int) -> None:
        """Adds a record as a row.

        Args:
            record: the text of each value, by its key.
            size: about how many bytes it has.

        Raises:
            TooManyColumnsError: it has too many new keys; nothing is added.
        """
        keys = tuple(record)
        places = self._shapes.get(keys)
        if places is None:
            places = self._place(keys)
        self.has_records = True
        # As wide as the columns known so far; the ledger fills up earlier and shorter rows.
        values: list[str | None] = [None] * len(self._ledger.columns)
        for place, value in zip(places, record.values(), strict=True):
            values[place] = value
        self._ledger.add_row(values, size)

    def finish(self) -> None:
        """Gives the columns the names that they have in the table.

        Raises:
            RefusedError: a required column is missing.
        """
        groups = self._group_keys()
        landed = land_names([keys[0] for keys in groups], self._name)
        provisional = self._ledger.columns
        shape = {
            name: [provisional[self._places[key]] for key in keys]
            for name, keys in zip(landed.names, groups, strict=True)
        }
        if any([name] != olds for name, olds in shape.items()):
            self._ledger.reshape(shape)
        set_columns(self._ledger, landed, self._required)
        # Without a record there is nothing to say about columns.
        if self.has_records:
            refuse_missing(self._ledger.columns, self._required)

    def _place(self, keys: tuple[str, ...]) -> list[int]:
        """Returns the position of the column of each key; new keys become columns."""
        new = [key for key in keys if key not in self._places]
        # Checked before the first change: a rejected record leaves no column behind.
        if len(self._places) + len(new) > (most := self._ledger.limits.columns):
            raise TooManyColumnsError(
                f"more than {most:,} columns, with: {list_names([key.strip() for key in new])}"
            )
        for key in new:
            self._places[key] = len(self._ledger.columns)
            self._ledger.columns.append(self._name_provisionally(key))
        folds = [_fold(key) for key in keys]
        if len(set(folds)) < len(folds):
            self._apart |= {fold for fold in folds if folds.count(fold) > 1}
        if len(self._shapes) >= _KNOWN_SHAPES:
            self._shapes.clear()
        places = self._shapes[keys] = [self._places[key] for key in keys]
        return places

    def _name_provisionally(self, key: str) -> str:
        name = self._name(key.strip(), 1)
        # No name has a line end once it is clean, so this one is free.
        if name.casefold() in self._folds:
            return f"{name}\n{len(self._places)}"
        self._folds.add(name.casefold())
        return name

    def _name(self, key: str, _: int) -> str:
        # Keys have no position: a blank one is the first column, as the index is in a header.
        return self._clean(key, 1)

    def _group_keys(self) -> list[list[str]]:
        """Returns the keys of each column, the first one first, in the order of the columns."""
        groups: dict[str, list[str]] = {}
        for key in self._places:
            groups.setdefault(_fold(key), []).append(key)
        wanted = fold_names(self._required)
        # Keys of a record have no order, so that of their spellings decides who keeps the name.
        for fold in self._apart:
            groups[fold].sort(
                key=lambda key: (
                    key not in self._own,
                    key != wanted.get(_fold(key)),
                    key.swapcase(),
                )
            )
        return [
            part
            for fold, keys in groups.items()
            for part in ([[key] for key in keys] if fold in self._apart else [keys])
        ]


def _fold(key: str) -> str:
    return key.strip().casefold()
