"""What a person asks of a lake: its tables, their commits and their rejected rows, as plain rows of values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from deltalake import DeltaTable

from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.ingest.delivery_register import DELIVERIES, count_open_dead_letters
from lakehouse.lineage.touched_days import read_audit
from lakehouse.observe.landing_report import LandingReport, report_landing
from lakehouse.observe.remarks import read_notes
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import State, count_by_state, fill_states, is_in
from lakehouse.storage.lake import Lake, list_data_files, scan_all_rows, scan_visible_rows
from lakehouse.system_columns import BROKEN, DELETED, EVENT_DATE
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.wording import format_count


@dataclass(frozen=True)
class TableState:
    """One table of the lake.

    Attributes:
        table: its name.
        rows: its rows.
        bytes: bytes of its files.
        files: how many files hold them.
        version: its Delta version; None when there is no such table yet, only files for it.
        newest: its newest event, or when rows were added last where rows carry no event time.
        freshness: how old that is, and whether that is later than promised; or the word for a
            domain whose dates do not follow the present.
        state: `up to date`, or what is behind its inputs; for raw tables what waits in landing, and how many dead
            letters are open.
    """

    table: str
    rows: int
    bytes: int
    files: int
    version: int | None
    newest: date | datetime | None
    freshness: str
    state: str


def list_tables(
    here: Environment, now: datetime | None = None, arrived: LandingReport | None = None
) -> list[TableState]:
    """Every table of the lake, layer by layer, and those that are not there yet and will be with the next run."""
    with here.lake.translate_errors():
        moment = now or datetime.now(UTC)
        stale = {part.table: part for part in here.create_planner().find_stale_tables()}
        dead = count_open_dead_letters(here.lake)
        waiting = arrived or report_landing(here)
        known = here.lake.tables()
        new = [
            name
            for name in here.catalog.tables
            if name not in known and (name in stale or waiting.words(name))
        ]
        undated = here.undated_domains(here.lake, here.catalog)
        states = [
            _aged(here.catalog, _state(here, name, stale, dead), moment, undated) for name in known
        ]
        states += [
            TableState(name, 0, 0, 0, None, None, "", "never made" if name in stale else "")
            for name in new
        ]
        return sorted(
            (_expecting(state, waiting) for state in states),
            key=lambda state: not state.table.startswith("raw/"),
        )


def _expecting(state: TableState, waiting: LandingReport) -> TableState:
    """A state that begins with what waits in landing."""
    if not (words := waiting.words(state.table)):
        return state
    return replace(
        state,
        state="; ".join([*words, *([] if state.state in ("", "up to date") else [state.state])]),
    )


def _state(
    here: Environment, name: str, stale: Mapping[str, Any], dead: Mapping[str, int]
) -> TableState:
    handle = here.lake.open_shared(name)
    assert handle is not None  # noqa: S101
    live = list_data_files(handle)
    newest = _newest(here.catalog, name, handle)
    said = _settled(handle) if name.startswith("quarantine/") else _behind(name, stale, dead)
    return TableState(
        name,
        (int(live["num_records"].sum()) if live.height else 0) - _tombstones(handle),
        int(live["size_bytes"].sum()) if live.height else 0,
        live.height,
        handle.version(),
        newest,
        "",
        "; ".join(filter(None, (str(read_notes(here.lake, here.catalog.tables.get(name))), said))),
    )


def _tombstones(handle: DeltaTable) -> int:
    """How many rows stand for deleted keys and are not seen."""
    rows = scan_all_rows(handle)
    return (
        rows.select(pl.col(DELETED).sum()).collect().item()
        if DELETED in rows.collect_schema()
        else 0
    )


def _settled(handle: DeltaTable) -> str:
    """What stands in a quarantine, by state; empty for a table that has none."""
    rows = scan_visible_rows(handle)
    if not {"_state", BROKEN} & set(rows.collect_schema()):
        return ""
    return ", ".join(
        f"{count:,} {state}" for state, count in count_by_state(fill_states(rows)).items()
    )


def _behind(name: str, stale: Mapping[str, Any], dead: Mapping[str, int]) -> str:
    if name in stale:
        return (
            f"behind: {format_count(len(stale[name].keys), 'period')} to make again"
            if stale[name].keys
            else "behind its inputs"
        )
    if name in dead:
        return format_count(dead[name], "dead letter")
    return "up to date"


def _newest(catalog: Catalog, name: str, handle: DeltaTable) -> date | datetime | None:
    table = catalog.tables.get(name)
    column = table.properties.event_time if isinstance(table, DerivedTable) else None
    if isinstance(table, RawTable):
        column = EVENT_DATE if table.day is not None else "_ingested_at"
    if table is None:
        column = "_ingested_at" if name in (DEAD_LETTERS, DELIVERIES) else "_last_seen_at"
    if column is None:
        return None
    rows = (
        scan_visible_rows(handle)
        if column != "_last_seen_at"
        else fill_states(scan_visible_rows(handle))
    )
    return rows.select(pl.col(column).max()).collect().item()  # type: ignore[no-any-return]


def _aged(
    catalog: Catalog, state: TableState, now: datetime, undated: Mapping[str, str]
) -> TableState:
    """A state with its freshness; no promise is held against a domain whose dates do not follow the present."""
    table, newest = catalog.tables.get(state.table), state.newest
    if newest is None or not isinstance(table, DerivedTable):
        return state
    moment = (
        newest
        if isinstance(newest, datetime)
        else datetime(newest.year, newest.month, newest.day, tzinfo=UTC)
    )
    age, promised = now - moment, table.properties.fresh_within
    if table.domain in undated:
        return replace(state, freshness=undated[table.domain])
    if promised is None:
        return replace(state, freshness=_words(age))
    late = f"LATE (promised {_words(promised)})"
    return replace(state, freshness=f"{_words(age)}, {'fresh' if age <= promised else late}")


def _words(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:,.0f} d"  # noqa: PLR2004


def list_audits(here: Environment, table: str) -> list[Audit]:
    """The audits that the log of a table still holds, oldest first.

    Raises:
        SetupError: there is no such table.
    """
    with here.lake.translate_errors():
        if here.lake.open_shared(table) is None:
            known = ", ".join(here.lake.tables()) or "none yet"
            raise SetupError(
                f"There is no table {table!r} in the lake.\nNext: name one of {known}."
            )
        return [
            audit
            for commit in here.lake.read_remaining_log(table)
            if (audit := read_audit(commit)) is not None
        ]


@dataclass(frozen=True)
class RejectedRows:
    """Rejected rows of a table.

    Attributes:
        table: the quarantine table that holds them.
        total: how many there are in the state that was asked for.
        reasons: these rows by reason; a row may have several.
        rows: the first of them, whole.
        states: all rows that were ever rejected, by state.
    """

    table: str
    total: int
    reasons: Mapping[str, int]
    rows: pl.DataFrame
    states: Mapping[str, int] = field(default_factory=dict)


def read_rejects(
    here: Environment, table: str, limit: int, state: State | None = "open"
) -> RejectedRows:
    """The rejected rows of a derived table, or the dead letters of a raw one, in a state; None asks for all.

    Raises:
        SetupError: no such table is declared.
    """
    with here.lake.translate_errors():
        declared = here.catalog[table]
        if isinstance(declared, RawTable):
            return _rejects(
                here.lake, DEAD_LETTERS, pl.col("table") == table, pl.col("reason"), limit, state
            )
        return _rejects(
            here.lake, declared.quarantine, pl.lit(True), pl.col("_rules").explode(), limit, state
        )


def _rejects(
    lake: Lake, name: str, which: pl.Expr, reason: pl.Expr, limit: int, state: State | None
) -> RejectedRows:
    if lake.open_shared(name) is None:
        return RejectedRows(name, 0, {}, pl.DataFrame())
    every = fill_states(lake.scan(name)).filter(which)
    rows = every if state is None else every.filter(is_in(state))
    reasons = (
        rows.select(reason.alias("reason"))
        .group_by("reason")
        .len()
        .sort("len", descending=True)
        .collect()
    )
    total = rows.select(pl.len()).collect().item()
    return RejectedRows(
        name, total, dict(reasons.iter_rows()), rows.head(limit).collect(), count_by_state(every)
    )
