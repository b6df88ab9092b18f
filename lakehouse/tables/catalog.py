"""The catalogue: every declared table by its name, and who reads whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lakehouse.errors import SetupError
from lakehouse.tables.domains import get_prefix
from lakehouse.tables.references import list_references
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class Catalog:
    """The declared tables by name."""

    tables: Mapping[str, Table]

    def __getitem__(self, name: str) -> Table:
        if name not in self.tables:
            known = f"use one of {', '.join(self.tables)}; or " if self.tables else ""
            raise SetupError(f"There is no table {name!r}.\nNext: {known}declare it under assets/.")
        return self.tables[name]

    @property
    def raw_tables(self) -> list[RawTable]:
        """The raw tables."""
        return [table for table in self.tables.values() if isinstance(table, RawTable)]

    @cached_property
    def derived_tables(self) -> list[DerivedTable]:
        """The derived tables, each after everything that it reads.

        Raises:
            SetupError: tables read each other in a circle.
        """
        # In rounds: those whose inputs are all in order come next, as they were declared.
        waiting = {t.name: t for t in self.tables.values() if isinstance(t, DerivedTable)}
        ordered: list[DerivedTable] = []
        while waiting:
            ready = [t for t in waiting.values() if waiting.keys().isdisjoint(self._reads(t))]
            if not ready:
                raise SetupError(
                    f"Tables read each other in a circle: {', '.join(waiting)}.\n"
                    "Next: let one of them read another table."
                )
            ordered += ready
            for table in ready:
                del waiting[table.name]
        return ordered

    def find_inputs(self, table: Table) -> dict[str, str]:
        """Returns the tables that a table is built from, by the name under which it knows each.

        These are the parameters of its transform, the first input first, and then the references
        of its contract. A raw table is built from none.

        Raises:
            SetupError: a parameter or a reference names no declared table.
        """
        return {**self.find_parameters(table), **self._find_referenced(table)}

    def find_parameters(self, table: Table) -> dict[str, str]:
        """Returns the tables that a transform reads, by its parameters.

        Raises:
            SetupError: a parameter names no declared table.
        """
        return {
            parameter: self._find_input(table, parameter, f"its parameter {parameter!r}")
            for parameter in table.parameters
        }

    def _find_referenced(self, table: Table) -> dict[str, str]:
        if not isinstance(table, DerivedTable):
            return {}
        return {
            one.parameter: self._find_input(table, one.target, f"the reference {one.parameter!r}")
            for one in list_references(table.properties)
        }

    def _reads(self, table: DerivedTable) -> set[str]:
        return set(self.find_inputs(table).values())

    def _find_input(self, table: Table, parameter: str, what: str) -> str:
        candidates = _list_candidates(table, parameter)
        for name in candidates:
            # No table reads itself, so that its own name means another table.
            if name in self.tables and name != table.name:
                return name
        raise SetupError(
            f"{table.name}: {what} names no table "
            f"(tried {', '.join(candidates)}).\n"
            f"Next: name one of {', '.join(self.tables)}."
        )


def _list_candidates(table: Table, parameter: str) -> list[str]:
    """Returns the tables that a parameter or a reference of a table may mean, the first first."""
    if "/" in parameter:
        return [parameter]  # a reference may name the layer as well
    prefix = get_prefix(table.transform.__module__) if isinstance(table, DerivedTable) else ""
    # The tables of the own domain go first.
    candidates = []
    for begin in dict.fromkeys((prefix, "")):
        if parameter.startswith("raw_"):
            # A derived table may be called `raw_…` as well; the raw table goes first.
            candidates.append(f"raw/{begin}{parameter.removeprefix('raw_')}")
        # Staged tables go before marts: a mart may have the name of the staged table that it reads.
        candidates += [f"staged/{begin}{parameter}", f"marts/{begin}{parameter}"]
    return candidates
