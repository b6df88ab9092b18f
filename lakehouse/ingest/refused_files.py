"""Refused files by what lies in landing now: their dead letters settle when they are gone.

Belongs here: the state of the one dead letter of a file that was refused whole, or could not be
read. Does not belong here: the letters of records, which stay open until a replay reads them: the
next file of that name may be tomorrow's, which does not hold the record.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import polars as pl

from lakehouse.errors import BusyError
from lakehouse.ingest.files.listing import Entry, ListedFile, make_entries, spell_out
from lakehouse.ingest.landed_files import LandedFiles
from lakehouse.origin import Origin
from lakehouse.publish.retry import retry_if_busy
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, UNSETTLED
from lakehouse.quarantine.states import (
    OPEN,
    STATES,
    SUPERSEDED,
    WITHDRAWN,
    State,
    fill_states,
    is_in,
)
from lakehouse.quarantine.update_states import StateChange, update_states
from lakehouse.storage.lake import Lake, scan_visible_rows
from lakehouse.storage.revision import read_revision


def select_refused(known: LandedFiles, listed: Iterable[ListedFile]) -> dict[str, Entry | None]:
    """Selects from a listing what lies under the names of refused files; None for nothing."""
    names = {Origin.parse(source).name for source in known.refused}
    entries = make_entries(one for one in listed if spell_out(one[0]) in names) if names else ()
    return {**dict.fromkeys(names), **{entry.name: entry for entry in entries}}


def find_settled(known: LandedFiles, present: Mapping[str, Entry | None]) -> dict[str, State]:
    """Finds the refused files whose dead letters have another state by now.

    Args:
        known: the deliveries of the raw table.
        present: what lies in landing, as `select_refused` gives it; of a file that was refused
            since, nothing is known.

    Returns:
        The new state of each letter, by `_source`.
    """
    states = {
        source: _find_state(known, origin, state, present[origin.name])
        for source, state in known.refused.items()
        if (origin := Origin.parse(source)).name in present
    }
    return {source: state for source, state in states.items() if state != known.refused[source]}


def _find_state(known: LandedFiles, origin: Origin, state: State, entry: Entry | None) -> State:
    if entry is None:
        return WITHDRAWN if state == OPEN else state
    if entry.problem is not None:
        return state if origin.is_readable else OPEN
    digest = known.register.digests.get(entry)
    # It was not read yet, as while somebody is still writing it.
    if digest is None:
        return state
    return OPEN if digest == origin.digest else SUPERSEDED


def settle_refused_files(lake: Lake, table: str, states: Mapping[str, State], run_id: str) -> None:
    """Writes new states of the dead letters of refused files.

    Gives up silently when other writers keep being faster: the next landing finds the same.

    Args:
        lake: where the tables are.
        table: the raw table.
        states: the new state of each letter, by `_source`.
        run_id: who asks; stored with each letter.
    """
    # Other writers must not make a landing fail here: its rows are committed.
    if states:
        with suppress(BusyError):
            retry_if_busy(lambda: _settle(lake, table, states, run_id))


def _settle(lake: Lake, table: str, states: Mapping[str, State], run_id: str) -> None:
    with lake.translate_errors():
        handle = lake.open_shared(DEAD_LETTERS)
        if handle is None:
            return
        rows = fill_states(scan_visible_rows(handle))
        state = pl.col("_source").replace_strict(
            list(states), list(states.values()), default=None, return_dtype=pl.String
        )
        is_unsettled = pl.any_horizontal(map(is_in, UNSETTLED))
        is_changed = ((pl.col("table") == table) & pl.col("_offset").is_null() & is_unsettled) & (
            state != pl.col("_state")
        ).fill_null(False)
        is_over = state != OPEN
        values = {
            "_state": state,
            "_settled_at": pl.when(is_over).then(
                pl.lit(datetime.now(UTC), dtype=STATES["_settled_at"])
            ),
            "_settled_by": pl.when(is_over).then(pl.lit(run_id)),
        }
        changed = rows.with_columns(
            pl.when(is_changed).then(value).otherwise(pl.col(name)).alias(name)
            for name, value in values.items()
        )
        change = StateChange(DEAD_LETTERS, read_revision(handle), rows, is_changed, changed)
        update_states(lake, change, run_id)
