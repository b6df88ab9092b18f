"""Collecting the tables that modules declare into a checked catalogue."""

from collections.abc import Iterable, Iterator
from types import ModuleType

from lakehouse.errors import SetupError, list_problems
from lakehouse.storage.lake import check_name
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.declaration_checks import find_derived_problems, find_raw_problems
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


def collect_tables(modules: Iterable[ModuleType]) -> Catalog:
    """Returns the catalogue of all tables that some modules declare.

    Raises:
        SetupError: naming every problem of every table at once.
    """
    tables: dict[str, Table] = {}
    for table in _find_declared(modules):
        check_name(table.name)
        # A raw table that several modules import is found in each, and is one declaration.
        if tables.setdefault(table.name, table) is not table:
            raise SetupError(
                f"{table.name} is declared twice.\n"
                "Next: rename one of the two; or write PREFIX = True into the `__init__.py` of a "
                "domain, whose tables are then called <domain>_<table>."
            )
    # Without an order nothing else can be checked: a circle, or an input that does not exist, is
    # reported alone.
    unordered = Catalog(tables)
    # Raw tables first, then each after what it reads: the order in which people look at them.
    ordered: list[Table] = [*unordered.raw_tables, *unordered.derived_tables]
    catalog = Catalog({table.name: table for table in ordered})
    problems = [problem for table in catalog.raw_tables for problem in find_raw_problems(table)]
    for derived in catalog.derived_tables:
        problems += find_derived_problems(catalog, derived)
    if problems:
        raise SetupError(
            list_problems(
                "The declared tables do not fit together.",
                problems,
                "correct the declarations; no data was touched.",
            )
        )
    return catalog


def _find_declared(modules: Iterable[ModuleType]) -> Iterator[Table]:
    """Yields the declared tables of some modules.

    A derived table counts where it was written, not where it is imported.
    """
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, RawTable) or (
                isinstance(value, DerivedTable) and value.transform.__module__ == module.__name__
            ):
                yield value
