"""The columns of a raw table while deliveries are fitted into them: their names and types.

Belongs here: what the table has, what is declared, and what deliveries add. Does not belong here:
whether a delivery goes into the columns (`fit.py`), and the expressions that bring it there
(`projection.py`). Names are compared without their case, as Delta Lake compares them.
"""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from lakehouse.ingest.drift.projection import Projection
from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.limits import DEFAULT_LIMITS
from lakehouse.system_columns import EVENT_DATE, ORIGIN, RESCUED
from lakehouse.tables import type_widening
from lakehouse.tables.table_types import RawTable

_ENGINE = {*ORIGIN, EVENT_DATE, RESCUED}


class TableColumns:
    """The columns of a raw table without those of the engine.

    Attributes:
        raw: the raw table.
        stored: the columns that it has, those of the engine included; empty when it does not exist
            yet.
        current: the stored and the declared columns, with the types that they get.
        added: the columns that deliveries brought since.
        most_columns: how many it may have; a delivery that would add more is refused.
    """

    def __init__(
        self,
        raw: RawTable,
        stored: Mapping[str, pl.DataType],
        most_columns: int = DEFAULT_LIMITS.table_columns,
    ) -> None:
        self.raw, self.stored, self.most_columns = raw, dict(stored), most_columns
        own = {name: dtype for name, dtype in stored.items() if name not in _ENGINE}
        spelled = {name.casefold(): name for name in own}
        declared = {spelled.get(name.casefold(), name): t for name, t in raw.columns.items()}
        common = {
            name: type_widening.find_common_type(own[name], dtype)
            for name, dtype in declared.items()
            if name in own
        }
        # The declaration counts for as long as the stored values can be brought to it.
        usable = {name: t for name, t in declared.items() if common.get(name, t) is not None}
        self._declared = {**own, **usable}
        evolved = {name: t for name, t in common.items() if t is not None}
        # A stored type wins over the declared one. Only `evolve` may widen it to hold both.
        self.current = {**declared, **own, **(evolved if raw.drift == "evolve" else {})}
        self.added: dict[str, pl.DataType] = {}
        self._undeclared = {name for name in own if name not in declared}
        self._spelled = {name.casefold(): name for name in self.current}
        # After the columns: a file's column goes where an alias sends it, even if rows that landed
        # before the alias was declared have a column of the old name.
        self._aliased = {
            old.casefold(): self._spelled[new.casefold()] for old, new in raw.aliases.items()
        }
        self._spelled |= self._aliased

    @property
    def all(self) -> dict[str, pl.DataType]:
        """Every column that the table has after the batch."""
        return {**self.current, **self.added}

    @property
    def own_names(self) -> tuple[str, ...]:
        """The required columns without an alias, which a reader can check by their names alone."""
        return tuple(name for name in self.raw.required if name not in self.raw.aliases.values())

    @property
    def retyped(self) -> dict[str, pl.DataType]:
        """The columns whose type becomes wider than the stored one."""
        return {name: t for name, t in self.current.items() if self.stored.get(name, t) != t}

    def match_names(
        self, names: Iterable[str], delivered: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Returns the column of the table for each column of a delivery.

        A column that the table lacks keeps its name.

        Args:
            names: the columns of the delivery.
            delivered: their names in the file, where these differ. An alias may name either; one
                that names what is in the file counts first.
        """
        given = delivered or {}
        return {
            name: self._aliased.get(
                given.get(name, name).casefold(), self._spelled.get(name.casefold(), name)
            )
            for name in names
        }

    def is_undeclared(self, column: str) -> bool:
        """Returns whether nothing declares a column; such a column holds text."""
        if column not in self.current:
            return True
        # Only `evolve` takes any value as text: `freeze` asks for the stored type, and `rescue`
        # sets aside what is not of it.
        is_text = self.current[column] == pl.String
        return is_text and column in self._undeclared and self.raw.drift == "evolve"

    def declared_type(self, column: str) -> pl.DataType:
        """Returns the type that a column is declared with, or has where nothing declares it."""
        return self._declared[column]

    def grow(self, wider: Mapping[str, pl.DataType], new: Iterable[str]) -> None:
        """Widens columns, and adds new ones as text."""
        self.current |= wider
        for name in new:
            # Text, whatever the file has: no order of deliveries can then decide a type.
            self.added[name] = pl.String()
            self._spelled[name.casefold()] = name

    def project(self, projection: Projection) -> list[pl.Expr]:
        """Returns each column of the table, as an expression over the rows of a delivery."""
        values = [projection.fill(name, dtype).alias(name) for name, dtype in self.all.items()]
        if self.raw.drift == "rescue":
            values.append(projection.collect_rescued().alias(RESCUED))
        return values

    def describe_changes(self) -> Iterator[str]:
        """Yields a note for the new columns and one for the wider ones."""
        if self.added:
            yield f"new columns: {list_names(self.added)}"
        if wider := [f"{name} ({self.stored[name]} to {t})" for name, t in self.retyped.items()]:
            yield (
                f"wider columns: {', '.join(wider)}; the existing rows of the table were rewritten"
            )
