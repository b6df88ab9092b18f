"""References of a contract: columns whose values must be keys of another table.

Belongs here: what a contract declares, and whether it fits the other table. Does not belong here:
reading the keys and judging rows by them (`transform/referenced_keys.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from lakehouse.tables.contract import TableProperties, to_polars_schema
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.table_types import DerivedTable, RawTable, Table


@dataclass(frozen=True)
class Reference:
    """Columns of a table whose values must be in another table.

    Attributes:
        columns: the columns of the table.
        target: the other table, as the contract names it.
        target_columns: the columns of the other table; empty for its key.
    """

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...] = ()

    @property
    def parameter(self) -> str:
        """The name of the other table among the inputs; no parameter of a function has it."""
        return f"{', '.join(self.columns)} in {self.target}"

    def find_columns(self, source: Table) -> tuple[str, ...]:
        """Returns the columns of the other table that hold the values."""
        if self.target_columns or not isinstance(source, DerivedTable):
            return self.target_columns
        return source.properties.key  # of a history, too, without when a version began


def list_references(properties: TableProperties) -> list[Reference]:
    """Returns the references of a contract; none where they are malformed, which a check names."""
    if any(find_malformed_references(properties.references)):
        return []
    return [
        Reference(_as_names(columns), *_split_target(target))
        for columns, target in properties.references.items()
    ]


def find_malformed_references(references: Any) -> Iterator[str]:  # noqa: ANN401 - a person may write anything
    """Yields references that are of the wrong kind."""
    if not isinstance(references, Mapping):
        yield f"references is {references!r}, it has to be a dict of tables by column"
        return
    for columns, target in references.items():
        if not _is_names(columns) or not _is_names(target):
            yield (
                f"the reference {columns!r}: {target!r} has to name columns and a table, as in "
                '"product_id": "products" or ("a", "b"): ("table", "x", "y")'
            )


def find_reference_problems(table: DerivedTable, sources: Mapping[str, Table]) -> Iterator[str]:
    """Yields every reference of a table that its target cannot answer.

    Args:
        table: the table.
        sources: the other tables, by the parameter of the reference.
    """
    own = to_polars_schema(table.contract)
    for reference in list_references(table.properties):
        source = sources[reference.parameter]
        if isinstance(table, KeyedTable):
            yield (
                f"it refers to {source.name}, which a table with keys cannot: only its new rows "
                f"are judged, so a row would stay rejected when {source.name} changes; refer to "
                "it from a table that reads this one"
            )
        elif isinstance(source, RawTable):
            yield f"it refers to {source.name}, whose rows no contract checks; name a staged table"
        else:
            yield from _find_column_problems(reference, source, own)


def _find_column_problems(reference: Reference, source: Table, own: pl.Schema) -> Iterator[str]:
    wanted = reference.find_columns(source)
    if len(wanted) != len(reference.columns):
        key = ", ".join(wanted) or "nothing"
        yield (
            f"{', '.join(reference.columns)} refers to {source.name}, whose key is {key}; name "
            "as many columns, or the columns to look in after the table"
        )
        return
    for column, target in zip(reference.columns, wanted, strict=True):
        if target not in source.schema:
            yield f"{column!r} refers to {target!r} of {source.name}, which has no such column"
        elif not _are_alike(own[column], source.schema[target]):
            yield (
                f"{column!r} is {own[column]}, and {target!r} of {source.name} is "
                f"{source.schema[target]}: they have to be of the same type"
            )


def _are_alike(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or (one.is_integer() and other.is_integer())


def _is_names(names: Any) -> bool:  # noqa: ANN401
    if isinstance(names, str):
        return bool(names)
    return isinstance(names, tuple) and bool(names) and all(isinstance(n, str) for n in names)


def _as_names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _split_target(target: str | tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    name, *columns = _as_names(target)
    return name, tuple(columns)
