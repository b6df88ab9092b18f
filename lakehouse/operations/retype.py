"""Brings the stored columns of a raw table to the types that are declared for them now.

A declaration alone changes no stored value, so the type of a column stays what it was when its
first rows landed. This writes every row again in one commit, if each value has the same meaning in
its new type; otherwise it changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.environment import Environment
from lakehouse.errors import DataError, SetupError, list_problems
from lakehouse.publish.audit import Audit, Provenance
from lakehouse.publish.publish import PassResult, publish
from lakehouse.publish.request import Append, TableInfo
from lakehouse.storage.lake import scan_visible_rows
from lakehouse.storage.revision import Revision, read_revision
from lakehouse.system_columns import EVENT_DATE, ORIGIN
from lakehouse.tables.reading import add_day
from lakehouse.tables.table_types import RawTable
from lakehouse.tables.type_widening import cast_losslessly
from lakehouse.wording import format_count

_NAMED_ROWS = 3
"""How many of the rows that do not fit are named for each column."""


@dataclass(frozen=True)
class Retyping:
    """The columns of a raw table whose stored type is not the declared one.

    Attributes:
        raw: the table.
        base: its revision.
        rows: how many rows it has.
        columns: stored and declared type by column; empty where nothing differs.
    """

    raw: RawTable
    base: Revision
    rows: int
    columns: Mapping[str, tuple[pl.DataType, pl.DataType]]

    def describe(self) -> str:
        """Returns the columns with both types."""
        return ", ".join(f"{name} ({old} to {new})" for name, (old, new) in self.columns.items())

    def convert(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Returns stored rows with the declared types, and with the day that they then have."""
        values = {name: self._convert(name) for name in self.columns}
        return add_day(rows.with_columns(**values), self.raw)

    def find_misfits(self) -> dict[str, pl.Expr]:
        """Returns, by column, what is true for a value that the declared type does not hold."""
        return {
            name: pl.col(name).is_not_null() & self._convert(name).is_null()
            for name in self.columns
        }

    def _convert(self, name: str) -> pl.Expr:
        return cast_losslessly(pl.col(name), *self.columns[name])


def plan_retyping(here: Environment, table: str) -> Retyping:
    """Returns what has to change for a raw table to have the declared types.

    Raises:
        SetupError: the table is not raw, has no rows yet, or a typed column is declared as text.
        DataError: some values do not fit; the message counts and names them.
    """
    raw = here.catalog[table]
    if not isinstance(raw, RawTable):
        raise SetupError(
            f"{table} is made from other tables, so its types are those of its contract.\n"
            "Next: name the raw table; or make all of this table again."
        )
    with here.lake.translate_errors():
        handle = here.lake.open_shared(table)
        if handle is None:
            raise SetupError(
                f"{table} has no rows yet, so the next landing gives it the declared types.\n"
                "Next: run `lakehouse demo`, or wait for Dagster."
            )
        rows = scan_visible_rows(handle)
        stored = rows.collect_schema()
        columns = {
            name: (stored[name], dtype)
            for name, dtype in raw.columns.items()
            if name in stored and stored[name] != dtype
        }
        _check_no_text(raw, columns)
        count = int(rows.select(pl.len()).collect(engine="streaming").item())
        retyping = Retyping(raw, read_revision(handle), count, columns)
        _check_values(retyping, rows)
    return retyping


def retype(here: Environment, retyping: Retyping, who: str) -> Audit:
    """Writes all rows of a raw table again in the declared types, in one commit.

    Rows keep their origin and their batch. Earlier versions stay as they are, to be restored.

    Raises:
        BusyError: another writer was faster; nothing was published.
    """
    raw, lake = retyping.raw, here.lake
    with lake.translate_errors():
        stored = scan_visible_rows(lake.open_revision(raw.name, retyping.base))
        rows = retyping.convert(stored)
        names = rows.collect_schema().names()
        request = Append(
            raw.name,
            pl.LazyFrame(schema=rows.collect_schema()),
            base=retyping.base,
            retyped={name: new for name, (_, new) in retyping.columns.items()},
            convert=retyping.convert,
            # What was delivered may be personal, so the log gets no bounds of it.
            info=TableInfo(
                description=raw.description, hidden=frozenset(names) - {*ORIGIN, EVENT_DATE}
            ),
        )

        def account(_found: PassResult) -> Audit:
            note = f"columns in another type, as declared: {retyping.describe()}"
            made_by = Provenance(f"retyped by {who}")
            return Audit(raw.name, "append", 0, 0, notes=(note,), provenance=made_by)

        return publish(lake, request, account)


def _check_no_text(raw: RawTable, columns: Mapping[str, tuple[pl.DataType, pl.DataType]]) -> None:
    if as_text := [name for name, (_, new) in columns.items() if new == pl.String]:
        raise SetupError(
            f"{raw.name}: {', '.join(as_text)} cannot become text: how the files spell the values "
            "is not stored.\nNext: declare the stored type; or move the folder of the table out "
            "of the lake, and land its files again."
        )


def _check_values(retyping: Retyping, rows: pl.LazyFrame) -> None:
    """Refuses values that the declared types do not hold.

    Raises:
        DataError: naming each column with the number of such values, and some of their rows.
    """
    misfits = retyping.find_misfits()
    if not misfits:
        return
    counts = rows.select(**{n: is_left.sum() for n, is_left in misfits.items()})
    found = counts.collect(engine="streaming").row(0, named=True)
    problems = [
        f"{name}: {format_count(count, 'value')} of {retyping.rows:,} do not fit "
        f"{retyping.columns[name][1]}, such as in {_name_rows(rows, misfits[name])}"
        for name, count in found.items()
        if count
    ]
    if problems:
        raise DataError(
            list_problems(
                f"{retyping.raw.name} cannot get the declared types. Nothing was changed.",
                problems,
                "declare the stored type, and cast in the transform, which quarantines such rows; "
                "or deliver the files again with the values corrected.",
            )
        )


def _name_rows(rows: pl.LazyFrame, is_left: pl.Expr) -> str:
    # The origin and not the value, which may be personal.
    first = rows.filter(is_left).select("_source", "_offset").head(_NAMED_ROWS).collect()
    return ", ".join(f"{source.partition('#')[0]} record {n}" for source, n in first.rows())
