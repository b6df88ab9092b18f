"""The columns of a raw table, and how delivered columns are brought to them: what each way to meet drift means.

`evolve` adds columns and widens types, `freeze` refuses a file that differs, `rescue` keeps what does not fit in
`_rescued`. A column that nobody declared holds text, whatever the file says, and what a file asks of a declared one
depends on that file alone (`widening.py`): so the order of deliveries does not decide anything. Names are told apart
without their case, as Delta Lake does.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from lakehouse.ingest.drift.projection import (
    ProjectedColumn,
    Projection,
    count_rows_where,
    group_by_column,
    scan_rows,
)
from lakehouse.ingest.drift.rescued import has_text_form
from lakehouse.ingest.files.delivery import Delivery
from lakehouse.ingest.files.header_names import list_names
from lakehouse.system_columns import EVENT_DATE, ORIGIN, RESCUED
from lakehouse.tables import type_widening
from lakehouse.tables.table_types import RawTable

_ENGINE = {*ORIGIN, EVENT_DATE, RESCUED}
_ROWS = "_rows"
_EMPTY_DUMP = (
    "an empty dump deletes nothing. If the source is empty indeed, say so on purpose, with the moment of this dump: "
    "FullDumps(emptied=(...,)); then discard this dead letter"
)


class TableColumns:
    """The columns of a raw table while deliveries are brought to them.

    Attributes:
        raw: the raw table.
        stood: the columns that it has; empty when it does not exist yet.
        standing: those and the declared ones, with the types that they get; the engine's are left aside.
        added: the columns that deliveries brought since.
    """

    def __init__(self, raw: RawTable, stood: Mapping[str, pl.DataType]) -> None:
        self.raw, self.stored = raw, dict(stood)
        own = {name: dtype for name, dtype in stood.items() if name not in _ENGINE}
        known = {name.casefold(): name for name in own}
        declared = {known.get(name.casefold(), name): dtype for name, dtype in raw.columns.items()}
        wider = {
            name: type_widening.find_common_type(own[name], dtype)
            for name, dtype in declared.items()
            if name in own
        }
        # What a column is declared as counts for as long as what stands in it can be brought there.
        self._declared = {
            **own,
            **{name: t for name, t in declared.items() if wider.get(name, t) is not None},
        }
        evolved = {
            name: dtype
            for name, dtype in wider.items()
            if dtype is not None and raw.drift == "evolve"
        }
        self.current = {**declared, **own, **evolved}
        self.added: dict[str, pl.DataType] = {}
        self._undeclared = {name for name in own if name not in declared}
        self._spelled = {name.casefold(): name for name in self.current}
        self._spelled |= {
            old.casefold(): self._spelled[new.casefold()] for old, new in raw.aliases.items()
        }

    @property
    def all(self) -> dict[str, pl.DataType]:
        """Every column that the table has after this."""
        return {**self.current, **self.added}

    @property
    def own_names(self) -> tuple[str, ...]:
        """The required columns that are delivered under their own names only."""
        return tuple(name for name in self.raw.required if name not in self.raw.aliases.values())

    @property
    def retyped(self) -> dict[str, pl.DataType]:
        """The columns that stand in the table with a narrower type."""
        return {name: t for name, t in self.current.items() if self.stored.get(name, t) != t}

    def describe_changes(self) -> Iterator[str]:
        """Yields what a person should know of columns that are new or become wider."""
        if self.added:
            yield f"new columns: {', '.join(self.added)}"
        if wider := [f"{name} ({self.stored[name]} to {t})" for name, t in self.retyped.items()]:
            yield f"wider columns: {', '.join(wider)}; the existing rows of the table were rewritten"

    def fit(self, delivery: Delivery) -> tuple[Delivery, Projection]:
        """A delivery, refused whole if it does not go into the table; and how it does."""
        names = {name: self._spelled.get(name.casefold(), name) for name in delivery.columns}
        if self.raw.full_dumps and delivery.is_empty:
            return delivery.refuse(f"{delivery.refused}; {_EMPTY_DUMP}"), Projection(names)
        if self.raw.full_dumps and delivery.dead_count and delivery.refused is None:
            lost = f"{delivery.dead_count:,} of {delivery.records:,} records cannot be read"
            return delivery.refuse(
                f"{lost}, and a full dump would delete what it lacks"
            ), Projection(names)
        if not delivery.rows_count:
            return delivery, Projection(names)
        if missing := [name for name in self.raw.required if name not in names.values()]:
            return delivery.refuse(
                f"columns missing, by their own names and by others: {list_names(missing)}"
            ), Projection(names)
        schema = scan_rows(delivery).collect_schema()
        types = {name: schema[name] for name in delivery.columns}
        if self.raw.drift == "rescue":
            return self._rescued(delivery, names, types)
        return self._widened(delivery, names, types)

    def project(self, fit: Projection) -> list[pl.Expr]:
        """Each column of the table, as an expression over the rows of a delivery."""
        values = [
            pl.coalesce([one.value.cast(dtype) for one in fit.projected[name]]).alias(name)
            if name in fit.projected
            else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in self.all.items()
        ]
        return values + ([fit.rest().alias(RESCUED)] if self.raw.drift == "rescue" else [])

    def _rescued(
        self, delivery: Delivery, names: Mapping[str, str], types: Mapping[str, pl.DataType]
    ) -> tuple[Delivery, Projection]:
        """Everything goes into a column as it stands, or into `_rescued`."""
        taken = [
            (
                column,
                ProjectedColumn(name, types[name], self.current[column], not delivery.is_typed),
            )
            for name, column in names.items()
            if column in self.current
        ]
        fit = Projection(names, group_by_column(taken), types=types)
        left = fit.is_left()
        found = count_rows_where(delivery, {**left, _ROWS: pl.any_horizontal(left.values())})
        rows = found.pop(_ROWS)
        rescued = {name: count for name, count in found.items() if count}
        if bytes_within := [name for name in rescued if not has_text_form(types[name])]:
            return delivery.refuse(f"types differ: {'; '.join(_untold(types, bytes_within))}"), fit
        return delivery, Projection(names, fit.projected, rescued, types, rows)

    def _widened(
        self, delivery: Delivery, names: Mapping[str, str], types: Mapping[str, pl.DataType]
    ) -> tuple[Delivery, Projection]:
        """Everything goes into a column, that may be new or become wider; or the whole file is refused."""
        offered = {
            name: self._offered(column, types[name], delivery) for name, column in names.items()
        }
        chosen, wrong = self._chosen(delivery, names, types, offered)
        grown: dict[str, pl.DataType] = {}
        for name, dtype in chosen.items():
            if (column := names[name]) in self.current:
                wider = type_widening.find_common_type(
                    grown.get(column, self.current[column]), dtype
                )
                grown |= {} if wider is None else {column: wider}
                wrong += [self._differs(name, types[name], column)] if wider is None else []
        problems = [f"types differ: {'; '.join(wrong)}"] if wrong else []
        new = [name for name, column in names.items() if column not in self.all]
        if new and self.raw.drift == "freeze":
            problems.insert(
                0,
                f"columns that {self.raw.name} does not have, and it is frozen: {list_names(new)}",
            )
        taken = [
            (
                names[name],
                ProjectedColumn(
                    name, types[name], t, not delivery.is_typed, self._is_free(names[name])
                ),
            )
            for name, t in chosen.items()
        ]
        fit = Projection(names, group_by_column(taken), types=types)
        if not problems and (twice := self._twice(delivery, fit)):
            problems.append(twice)
        if problems:
            return delivery.refuse("; ".join(problems)), fit
        self.current |= grown
        self.added |= {name: pl.String() for name in new}
        self._spelled |= {name.casefold(): name for name in new}
        return delivery, fit

    def _offered(
        self, column: str, dtype: pl.DataType, delivery: Delivery
    ) -> tuple[pl.DataType, ...]:
        """The types that a column may take for a delivered one."""
        if self._is_free(column):
            return (pl.String(),) if has_text_form(dtype) else ()
        if self.raw.drift == "evolve":
            return type_widening.list_allowed_types(
                self._declared[column], dtype, is_read=not delivery.is_typed
            )
        wanted = self.current[column]
        is_readable = (
            dtype == pl.String and not delivery.is_typed and not type_widening.loses_as_text(wanted)
        )
        return (wanted,) if dtype in (wanted, pl.Null) or is_readable else ()

    def _is_free(self, column: str) -> bool:
        """Whether nobody declared a column: then it holds text."""
        if column not in self.current:
            return True
        is_text = self.current[column] == pl.String
        return is_text and column in self._undeclared and self.raw.drift == "evolve"

    def _chosen(
        self,
        delivery: Delivery,
        names: Mapping[str, str],
        types: Mapping[str, pl.DataType],
        offered: Mapping[str, tuple[pl.DataType, ...]],
    ) -> tuple[dict[str, pl.DataType], list[str]]:
        """The narrowest of the offered types into which all values of a column go; and what goes into none."""
        left: dict[str, pl.Expr] = {}
        for name, wanteds in offered.items():
            for number, wanted in enumerate(wanteds):
                one = ProjectedColumn(name, types[name], wanted, is_read=True)
                if wanted != pl.String and (
                    types[name] not in (wanted, pl.Null) or self._is_limited(names[name], one)
                ):
                    left[f"{number} {name}"] = self._is_left(names[name], one)
        counts = count_rows_where(delivery, left)
        chosen: dict[str, pl.DataType] = {}
        wrong: list[str] = []
        for name, wanteds in offered.items():
            fitting = [t for number, t in enumerate(wanteds) if not counts.get(f"{number} {name}")]
            if fitting:
                chosen[name] = fitting[0]
            else:
                misfits = counts.get(f"{len(wanteds) - 1} {name}", 0)
                wrong.append(self._differs(name, types[name], names[name], misfits))
        return chosen, wrong

    def _is_left(self, column: str, one: ProjectedColumn) -> pl.Expr:
        """True for a value that does not go in whole, or would not in the widest type of the column."""
        if not self._is_limited(column, one):
            return one.is_left
        exact = type_widening.cast_losslessly(one.value, one.wanted, pl.Float64())
        return pl.col(one.name).is_not_null() & exact.is_null()

    def _is_limited(self, column: str, one: ProjectedColumn) -> bool:
        """Whether a column may become one of doubles, so that a number has to be exact as such."""
        return self.raw.drift == "evolve" and type_widening.may_become_double(
            self._declared[column], one.wanted
        )

    def _differs(self, name: str, dtype: pl.DataType, column: str, misfits: int = 0) -> str:
        """What is wrong with a delivered column, in words."""
        if self._is_free(column):
            return next(_untold({name: dtype}, [name]))
        values = f" ({misfits:,} of its values do not fit)" if misfits else ""
        # Not what other files made of the column: a reason does not depend on the order of deliveries either.
        known = self.current[column] if self.raw.drift == "freeze" else self._declared[column]
        return f"{name} is {dtype} in the file and {known} in {self.raw.name}{values}"

    def _twice(self, delivery: Delivery, fit: Projection) -> str | None:
        """Which columns have two values in a row, under several names; None when none has."""
        several = {column: names for column, names in fit.projected.items() if len(names) > 1}
        both = {
            column: pl.sum_horizontal([pl.col(one.name).is_not_null() for one in names]) > 1
            for column, names in several.items()
        }
        counts = count_rows_where(delivery, both)
        wrong = [
            f"{column} ({', '.join(o.name for o in names)})"
            for column, names in several.items()
            if counts[column]
        ]
        return (
            f"columns with two values in a row, under several names: {'; '.join(wrong)}"
            if wrong
            else None
        )


def _untold(types: Mapping[str, pl.DataType], names: list[str]) -> Iterator[str]:
    yield from (
        f"{name} is {types[name]}, which no text can hold; declare it with its type"
        for name in names
    )
