"""Judges rows by the keys of the tables that a contract refers to.

Belongs here: the keys of a referenced table, and the rule that a row's key is among them.
Does not belong here: what a contract may refer to (`tables/references.py`).
"""

import polars as pl

from lakehouse.system_columns import VALID
from lakehouse.tables.keyed_table import KeyedTable
from lakehouse.tables.references import list_references
from lakehouse.tables.rules import Rule
from lakehouse.tables.table_types import Table
from lakehouse.transform.inputs import InputFrames
from lakehouse.transform.plan import MakePlan

_KNOWN = "_is_in_"


def add_references(
    plan: MakePlan, opened: InputFrames, rows: pl.LazyFrame
) -> tuple[pl.LazyFrame, tuple[Rule, ...]]:
    """Adds whether the keys of each row are in the tables that its contract refers to.

    A key with a null in it refers to nothing, and keeps the rule.

    Returns:
        The rows, with a column for each reference, and the rules over these columns.
    """
    sources = {one.parameter: one.source for one in plan.inputs if one.is_reference}
    rules = []
    for number, reference in enumerate(list_references(plan.table.properties)):
        source, known = sources[reference.parameter], f"{_KNOWN}{number}"
        wanted = reference.find_columns(source)
        current = _keep_current(source, opened.frames[reference.parameter])
        names = [f"{known}_{place}" for place in range(len(wanted))]
        keys = current.select(
            _widen(current, target).alias(name) for target, name in zip(wanted, names, strict=True)
        )
        keys = keys.drop_nulls().unique().with_columns(pl.lit(True).alias(known))
        own = zip(reference.columns, names, strict=True)
        rows = rows.with_columns(_widen(rows, column).alias(name) for column, name in own)
        # Each key is there once, so no row is doubled.
        rows = rows.join(keys, on=names, how="left", maintain_order="left").drop(names)
        is_null = pl.any_horizontal(pl.col(column).is_null() for column in reference.columns)
        holds = is_null | pl.col(known).is_not_null()
        rules.append(Rule(f"{', '.join(reference.columns)} is in {source.name}", holds))
    return rows, tuple(rules)


def _keep_current(source: Table, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the rows that are valid now; those of a history end with their last version."""
    is_history = isinstance(source, KeyedTable) and source.keeps_history
    return rows.filter(pl.col(VALID[2])) if is_history else rows


def _widen(rows: pl.LazyFrame, column: str) -> pl.Expr:
    # Keys may be whole numbers of different sizes.
    is_whole = rows.collect_schema()[column].is_integer()
    return pl.col(column).cast(pl.Int64) if is_whole else pl.col(column)
