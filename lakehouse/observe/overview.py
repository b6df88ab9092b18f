"""Overviews of a lake: its tables with their states, and the audits of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
from deltalake import DeltaTable

from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.ingest.delivery_register import DELIVERIES
from lakehouse.lineage.commit_history import read_audit
from lakehouse.lineage.staleness import StaleTable
from lakehouse.observe.dead_letter_notes import describe_dead_letters
from lakehouse.observe.landing_report import LandingReport, report_landing
from lakehouse.observe.table_notes import read_notes
from lakehouse.publish.audit import Audit
from lakehouse.quarantine.dead_letters import DEAD_LETTERS
from lakehouse.quarantine.states import count_by_state, fill_states
from lakehouse.storage.lake import list_data_files, scan_visible_rows
from lakehouse.storage.visible_rows import count_visible_rows
from lakehouse.system_columns import BROKEN, EVENT_DATE
from lakehouse.tables.catalog import Catalog
from lakehouse.tables.table_types import DerivedTable, RawTable
from lakehouse.tables.years import is_in_years
from lakehouse.wording import format_count

_UP_TO_DATE = "up to date"
_ORPHAN = "nothing declares it any more"
_LATE = "LATE"
_HOURS_SHOWN = 48
"""An age below this is shown in hours, above it in days."""


@dataclass(frozen=True)
class TableState:
    """The state of one table.

    Attributes:
        table: its name.
        rows: its rows, without tombstones.
        bytes: the bytes of its data files.
        files: how many data files it has.
        version: its Delta version; None for a table that does not exist yet and for which files or
            inputs wait.
        newest: its newest event, or when rows were added last if they carry no event time.
        freshness: the age of the newest event, and whether that is later than promised; or the word
            for a domain whose dates do not follow the present.
        state: `up to date`, or what is stale; for raw tables what waits in landing, how many dead
            letters are open, and which files were refused.
    """

    table: str
    rows: int
    bytes: int
    files: int
    version: int | None
    newest: date | datetime | None
    freshness: str
    state: str

    @property
    def needs_attention(self) -> bool:
        """Whether a run or a person has something to do.

        Rejected rows need nobody: their contract allows as many. Dead letters are told with their
        raw table.
        """
        if self.table.startswith("quarantine/"):
            return self.state == _ORPHAN
        return self.state != _UP_TO_DATE or _LATE in self.freshness


def list_tables(
    here: Environment, now: datetime | None = None, landing: LandingReport | None = None
) -> list[TableState]:
    """Returns every table of the lake, layer by layer, and those that the next run will create.

    Args:
        here: the environment.
        now: the time from which ages are counted.
        landing: what waits in landing, if the caller has looked already.
    """
    with here.lake.translate_errors():
        moment = now or datetime.now(UTC)
        # One planner for all tables: it opens each once, and compares the same versions throughout.
        stale = {part.table: part for part in here.create_planner().find_stale_tables()}
        waiting = landing or report_landing(here)
        dead = describe_dead_letters(here.lake, waiting)
        existing = here.lake.tables()
        states = [
            _add_freshness(here.catalog, _read_state(here, name, stale, dead), moment)
            for name in existing
        ]
        orphans = set(here.list_orphans())
        states = [replace(s, state=_ORPHAN) if s.table in orphans else s for s in states]
        for name in here.catalog.tables:
            if name not in existing and (name in stale or name in dead or waiting.describe(name)):
                state = "never made" if name in stale else dead.get(name, "")
                states.append(TableState(name, 0, 0, 0, None, None, "", state))
        states = [_add_waiting(state, waiting) for state in states]
        # The sort is stable: it only moves raw tables that do not exist yet to the other raw ones.
        return sorted(states, key=lambda state: not state.table.startswith("raw/"))


def list_audits(here: Environment, table: str) -> list[Audit]:
    """Returns the audits that the log of a table still holds, oldest first.

    Raises:
        SetupError: there is no such table.
    """
    with here.lake.translate_errors():
        if here.lake.open_shared(table) is None:
            known = ", ".join(here.lake.tables())
            next_step = f"name one of {known}." if known else "make the tables first."
            raise SetupError(f"There is no table {table!r} in the lake.\nNext: {next_step}")
        # Commits of other programs, such as a compaction, carry no audit.
        audits = map(read_audit, here.lake.read_remaining_log(table))
        return [audit for audit in audits if audit is not None]


def _add_waiting(state: TableState, landing: LandingReport) -> TableState:
    """Returns a state that begins with what waits in landing."""
    waiting = landing.describe(state.table)
    if not waiting:
        return state
    rest = [] if state.state in ("", _UP_TO_DATE) else [state.state]
    return replace(state, state="; ".join([*waiting, *rest]))


def _read_state(
    here: Environment, name: str, stale: Mapping[str, StaleTable], dead: Mapping[str, str]
) -> TableState:
    handle = here.lake.open_shared(name)
    assert handle is not None  # noqa: S101
    # Rows and bytes come from the log; statistics count tombstones as rows.
    files = list_data_files(handle)
    notes = str(read_notes(here.lake, here.catalog.tables.get(name)))
    is_quarantine = name.startswith("quarantine/")
    state = _describe_rejects(handle) if is_quarantine else _describe_staleness(name, stale, dead)
    # Beside a note, "up to date" alone would read as if nothing were to do.
    if notes and state == _UP_TO_DATE:
        state = "up to date with its inputs"
    return TableState(
        table=name,
        rows=count_visible_rows(handle),
        bytes=int(files["size_bytes"].sum()) if files.height else 0,
        files=files.height,
        version=handle.version(),
        newest=_read_newest(here.catalog, name, handle),
        freshness="",
        state="; ".join(filter(None, (state, notes))),
    )


def _describe_rejects(handle: DeltaTable) -> str:
    """Returns how many rows of a quarantine are in each state; empty for a table without states."""
    rows = scan_visible_rows(handle)
    # The register of deliveries is in this layer too, and its rows are not rejected. A quarantine
    # that another program wrote may have no states; then its rows are open.
    if not {"_state", BROKEN} & set(rows.collect_schema()):
        return ""
    counts = count_by_state(fill_states(rows))
    return ", ".join(f"{count:,} {state}" for state, count in counts.items())


def _describe_staleness(name: str, stale: Mapping[str, StaleTable], dead: Mapping[str, str]) -> str:
    # Only a raw table has dead letters, and only a derived one is stale.
    if name in stale:
        keys = stale[name].keys
        return f"stale: {format_count(len(keys), 'period')} to rebuild" if keys else "stale"
    if name in dead:
        return dead[name]
    return _UP_TO_DATE


def _read_newest(catalog: Catalog, name: str, handle: DeltaTable) -> date | datetime | None:
    column = _find_time_column(catalog, name)
    if column is None:
        return None
    # Bounds in the log are no answer: they cover tombstones as well, and can be absent.
    rows = scan_visible_rows(handle)
    if column == "_last_seen_at":
        rows = fill_states(rows)
    dtype = rows.collect_schema().get(column)
    if dtype is None:
        return None  # a column that is declared anew is in no file until the next commit
    newest = pl.col(column)
    # Another program, or an earlier version, may have written a year that Python does not have.
    if isinstance(dtype, pl.Date | pl.Datetime):
        newest = newest.filter(is_in_years(newest, dtype))
    return rows.select(newest.max()).collect().item()  # type: ignore[no-any-return]


def _find_time_column(catalog: Catalog, name: str) -> str | None:
    """Returns the column that dates the rows of a table; None if none does."""
    table = catalog.tables.get(name)
    if isinstance(table, DerivedTable):
        return table.properties.event_time
    if isinstance(table, RawTable):
        return "_ingested_at" if table.day is None else EVENT_DATE
    return "_ingested_at" if name in (DEAD_LETTERS, DELIVERIES) else "_last_seen_at"


def _add_freshness(catalog: Catalog, state: TableState, now: datetime) -> TableState:
    """Returns a state with its freshness."""
    table, newest = catalog.tables.get(state.table), state.newest
    if newest is None or not isinstance(table, DerivedTable):
        return state
    if not isinstance(newest, datetime):
        # A day is as old as its first moment: nothing in it says how late its last event was.
        newest = datetime(newest.year, newest.month, newest.day, tzinfo=UTC)
    age, promised = now - newest, table.properties.fresh_within
    if promised is None:
        return replace(state, freshness=_format_age(age))
    verdict = "fresh" if age <= promised else f"{_LATE} (promised {_format_age(promised)})"
    return replace(state, freshness=f"{_format_age(age)}, {verdict}")


def _format_age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < _HOURS_SHOWN else f"{hours / 24:,.0f} d"
