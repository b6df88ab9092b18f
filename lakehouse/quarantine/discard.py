"""Giving up quarantined rows or dead letters on purpose: who did it, and why, stands beside each.

A discarded row counts as open no more. It is judged with the others whenever its period is made, and stays discarded
for as long as it is rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from lakehouse.errors import SetupError
from lakehouse.origin import select_name
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import DISCARDED, OPEN, STATES, fill_states, is_in
from lakehouse.quarantine.update_states import update_states
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import BROKEN
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import RawTable

_UNKNOWN = (pl.exceptions.ColumnNotFoundError, pl.exceptions.StructFieldNotFoundError)


@dataclass(frozen=True)
class Choice:
    """Which open rows: those that meet all of it.

    Attributes:
        where: a condition in SQL over the columns of the quarantine, without the word WHERE.
        rules: rows that broke one of these; for dead letters, with one of these reasons.
        sources: rows of one of these deliveries, by the name of the file or by `_source`.
        is_all: every open row, where nothing else is said.
    """

    where: str | None = None
    rules: Sequence[str] = ()
    sources: Sequence[str] = ()
    is_all: bool = False

    def rows(self, schema: pl.Schema) -> pl.Expr:
        """The choice over the rows of a quarantine.

        Raises:
            SetupError: nothing is chosen, or there is no such column.
        """
        chosen = [self._where(schema)] if self.where else []
        if self.rules:
            rules = pl.Series(self.rules, dtype=pl.String)
            of_rules = (
                pl.col("reason").is_in(rules.implode()) if BROKEN not in schema else _any_of(rules)
            )
            chosen.append(of_rules)
        if self.sources:
            if "_source" not in schema:
                raise SetupError(
                    "Rows of a table of aggregates have no source.\nNext: use --where or --rule."
                )
            names = pl.Series(self.sources, dtype=pl.String).implode()
            file = select_name(pl.col("_source"))
            chosen.append(pl.col("_source").is_in(names) | file.is_in(names))
        if not chosen and not self.is_all:
            raise SetupError(
                "Nothing says which rows.\nNext: use --where, --rule or --source; or --all."
            )
        return pl.all_horizontal(*chosen, is_in(OPEN)).fill_null(False)

    def _where(self, schema: pl.Schema) -> pl.Expr:
        """The condition in SQL; what is wrong with it is said with the columns that there are."""
        columns = ", ".join(name for name in schema if name not in STATES)
        try:
            expr = pl.sql_expr(str(self.where))
            found = (
                pl.LazyFrame(schema=schema).select(expr.alias("chosen")).collect_schema()["chosen"]
            )
        except _UNKNOWN as error:
            said = str(error).splitlines()[0]
            raise SetupError(
                f"There is no such column: {said}\nNext: name one of {columns}."
            ) from error
        except pl.exceptions.PolarsError as error:
            said = str(error).splitlines()[0]
            raise SetupError(
                f"The condition cannot be read: {said}\nNext: write SQL over {columns}; they hold what was received, "
                "so numbers may be text that wants a TRY_CAST."
            ) from error
        if found != pl.Boolean:
            raise SetupError(
                f"The condition gives {found}, not true or false.\nNext: compare with something."
            )
        return expr


def _any_of(rules: pl.Series) -> pl.Expr:
    return pl.col(BROKEN).list.set_intersection(rules.to_list()).list.len() > 0


def discard(
    lake: Lake, catalog: Catalog, name: str, choice: Choice, *, reason: str, who: str
) -> int:
    """Discard open rows of a table's quarantine, or open dead letters of a raw table; gives how many.

    Args:
        lake: where the tables are.
        catalog: the declared tables.
        name: the table that rejected them.
        choice: which.
        reason: why; stored beside each.
        who: who says so.

    Raises:
        SetupError: there is no such table, the choice cannot be read, or there is no reason.
        BusyError: other writers kept being faster.
    """
    if not reason.strip():
        raise SetupError("A row is not discarded without a reason.\nNext: say it with --reason.")
    table = catalog[name]
    is_raw = isinstance(table, RawTable)
    place = DEAD_LETTERS if isinstance(table, RawTable) else table.quarantine
    return retry_if_busy(
        lambda: _attempt(lake, place, name if is_raw else None, choice, reason.strip(), who)
    )


def _attempt(
    lake: Lake, place: str, letters_of: str | None, choice: Choice, reason: str, who: str
) -> int:
    handle = lake.open_shared(place)
    if handle is None:
        return 0
    rows = fill_states(scan_visible_rows(handle))
    chosen = choice.rows(rows.collect_schema())
    if letters_of is not None:
        chosen = chosen & (pl.col("table") == letters_of)
    values = {
        "_state": pl.lit(DISCARDED),
        "_settled_at": pl.lit(datetime.now(UTC), dtype=STATES["_settled_at"]),
        "_settled_by": pl.lit(who),
        "_discard_reason": pl.lit(reason),
    }
    changed = rows.with_columns(
        pl.when(chosen).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
    try:
        return update_states(lake, place, read_revision(handle), rows, chosen, changed, who)
    except pl.exceptions.PolarsError as error:
        raise SetupError(
            f"The condition fails on the rows: {redact(error)}\nNext: write TRY_CAST where a value may be no number."
        ) from None  # the error itself quotes values
