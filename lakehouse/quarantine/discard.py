"""Giving up rejected rows or dead letters on purpose; who did it, and why, is stored with each.

A discarded row no longer counts as open. It is judged with the others whenever its period is made,
and stays discarded for as long as it is rejected.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from lakehouse.errors import SetupError
from lakehouse.origin import select_name
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import DISCARDED, OPEN, STATES, fill_states, is_in
from lakehouse.quarantine.update_states import StateChange, update_states
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision
from lakehouse.system_columns import BROKEN
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import RawTable
from lakehouse.url_secrets import hide_url_secrets

# Polars opens the file of a subquery as soon as it parses the condition, and quotes it in errors.
_READS_ELSEWHERE = re.compile(r"\bread_(?:csv|ipc|json|ndjson|parquet)\b", re.IGNORECASE)
_SUBQUERY = re.compile(r"\bselect\b", re.IGNORECASE)
_TEXT = re.compile(r"'(?:[^']|'')*'")
_UNKNOWN_COLUMN = (pl.exceptions.ColumnNotFoundError, pl.exceptions.StructFieldNotFoundError)


@dataclass(frozen=True)
class Choice:
    """A choice of open rows: those that meet all of these conditions.

    Attributes:
        where: a condition in SQL over the columns of the quarantine, without the word WHERE.
        rules: rows that broke one of these; for dead letters, with one of these reasons.
        sources: rows of one of these deliveries, by the name of the file or by `_source`.
        is_all: every open row, if there is no other condition.
    """

    where: str | None = None
    rules: Sequence[str] = ()
    sources: Sequence[str] = ()
    is_all: bool = False

    def to_filter(self, place: str, schema: pl.Schema) -> pl.Expr:
        """Returns true for a chosen row of a quarantine, the table `place`.

        Raises:
            SetupError: there is no condition, or it names a column that does not exist.
        """
        conditions = []
        if self.where:
            conditions.append(self._parse_where(place, self.where, schema))
        if self.rules:
            conditions.append(self._match_rules(schema))
        if self.sources:
            conditions.append(self._match_sources(place, schema))
        if not conditions and not self.is_all:
            raise SetupError(
                f"{place}: no condition says which rows to discard.\n"
                "Next: add --where, --rule or --source; or --all for every open row."
            )
        # Nobody gives up a row by accident: a condition that is null for it does not choose it.
        return pl.all_horizontal(*conditions, is_in(OPEN)).fill_null(False)

    def _match_rules(self, schema: pl.Schema) -> pl.Expr:
        # Dead letters broke no rule. They have one reason.
        if BROKEN not in schema:
            return pl.col("reason").is_in(pl.Series(self.rules, dtype=pl.String).implode())
        return pl.col(BROKEN).list.set_intersection(list(self.rules)).list.len() > 0

    def _match_sources(self, place: str, schema: pl.Schema) -> pl.Expr:
        if "_source" not in schema:
            raise SetupError(
                f"{place}: its rows are aggregates and have no source file.\n"
                "Next: use --where or --rule."
            )
        names = pl.Series(self.sources, dtype=pl.String).implode()
        file = select_name(pl.col("_source"))
        return pl.col("_source").is_in(names) | file.is_in(names)

    def _parse_where(self, place: str, where: str, schema: pl.Schema) -> pl.Expr:
        """Returns the condition in SQL; an error in it is reported with the columns that exist."""
        columns = ", ".join(name for name in schema if name not in STATES)
        if _READS_ELSEWHERE.search(where) or _SUBQUERY.search(_TEXT.sub("", where)):
            raise SetupError(
                f"{place}: the condition may not read another table or file.\n"
                f"Next: write one over the columns {columns}."
            )
        try:
            condition = pl.sql_expr(where)
            # Over no rows: a wrong name or type is found before any file is read.
            selected = pl.LazyFrame(schema=schema).select(condition.alias("chosen"))
            dtype = selected.collect_schema()["chosen"]
        except _UNKNOWN_COLUMN as error:
            message = str(error).splitlines()[0]
            raise SetupError(
                f"{place}: there is no such column: {message}\nNext: name one of {columns}."
            ) from error
        except pl.exceptions.PolarsError as error:
            message = str(error).splitlines()[0]
            raise SetupError(
                f"{place}: the condition cannot be read: {message}\n"
                f"Next: write SQL over {columns}. They hold values as received, so a number may be "
                "text and need TRY_CAST."
            ) from error
        if dtype != pl.Boolean:
            raise SetupError(
                f"{place}: the condition returns {dtype}, not true or false.\n"
                "Next: write a comparison, such as quantity < 0."
            )
        return condition


def list_unmatched(lake: Lake, catalog: Catalog, name: str, choice: Choice) -> list[str]:
    """Returns the rules and files that a choice names and no open row of a table has.

    Raises:
        SetupError: there is no such table.
    """
    place, rows_of = _find_quarantine(catalog, name)
    with lake.translate_errors():
        handle = lake.open_shared(place)
        parts = {rule: Choice(rules=(rule,)) for rule in choice.rules}
        parts |= {source: Choice(sources=(source,)) for source in choice.sources}
        if handle is None or not parts:
            return list(parts)
        rows = fill_states(scan_visible_rows(handle)).filter(rows_of)
        schema = rows.collect_schema()
        found = rows.select(
            part.to_filter(place, schema).any().alias(str(number))
            for number, part in enumerate(parts.values())
        ).collect()
    return [part for part, matches in zip(parts, found.row(0), strict=True) if not matches]


def _find_quarantine(catalog: Catalog, name: str) -> tuple[str, pl.Expr]:
    """Returns the table that holds what a table rejected, and which rows of it are meant."""
    table = catalog[name]
    # Each derived table has a quarantine of its own; all raw tables share the dead letters.
    if isinstance(table, RawTable):
        return DEAD_LETTERS, pl.col("table") == name
    return table.quarantine, pl.lit(True)


def discard(
    lake: Lake, catalog: Catalog, name: str, choice: Choice, *, reason: str, who: str
) -> int:
    """Discards open rows of a table's quarantine, or open dead letters of a raw table.

    Args:
        lake: where the tables are.
        catalog: the declared tables.
        name: the table that rejected them.
        choice: which rows.
        reason: why; stored with each row.
        who: who asks; stored with each row.

    Returns:
        How many rows were discarded.

    Raises:
        SetupError: there is no such table, the choice cannot be read, or there is no reason.
        BusyError: other writers kept being faster.
    """
    if not reason.strip():
        raise SetupError(f"{name}: discarding rows needs a reason.\nNext: give one with --reason.")
    place, rows_of = _find_quarantine(catalog, name)
    shown = hide_url_secrets(reason.strip())
    return retry_if_busy(lambda: _discard_once(lake, place, rows_of, choice, shown, who))


def _discard_once(
    lake: Lake, place: str, rows_of: pl.Expr, choice: Choice, reason: str, who: str
) -> int:
    # Within the attempt, so that a store that does not answer is asked again.
    with lake.translate_errors():
        # Opened by each attempt: another writer may have released rows that were chosen before.
        handle = lake.open_shared(place)
        if handle is None:
            return 0
        rows = fill_states(scan_visible_rows(handle))
        is_chosen = choice.to_filter(place, rows.collect_schema()) & rows_of
        if choice.where:
            _check_condition(place, rows, is_chosen)
        changed = _settle(rows, is_chosen, reason, who)
        change = StateChange(place, read_revision(handle), rows, is_chosen, changed)
        return update_states(lake, change, who)


def _settle(rows: pl.LazyFrame, is_chosen: pl.Expr, reason: str, who: str) -> pl.LazyFrame:
    """Returns all rows, the chosen ones as discarded."""
    # `_last_seen_at` and `_tries` stay: nobody has judged the rows again.
    values = {
        "_state": pl.lit(DISCARDED),
        "_settled_at": pl.lit(datetime.now(UTC), dtype=STATES["_settled_at"]),
        "_settled_by": pl.lit(who),
        "_discard_reason": pl.lit(reason),
    }
    return rows.with_columns(
        pl.when(is_chosen).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def _check_condition(place: str, rows: pl.LazyFrame, is_chosen: pl.Expr) -> None:
    """Refuses a condition that fails on the values of the rows.

    Raises:
        SetupError: it does. An error in reading the rows is raised as it is.
    """
    try:
        rows.select(is_chosen.sum()).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        # The same columns without the condition: a file that cannot be read is not its fault.
        rows.select(is_chosen.meta.root_names()).collect(engine="streaming")
        # Not chained: the error itself quotes values.
        raise SetupError(
            f"{place}: the condition fails on the rows: {redact(error)}\n"
            "Next: write TRY_CAST where a value may not be a number."
        ) from None
