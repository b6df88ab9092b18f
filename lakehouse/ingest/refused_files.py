"""Dead letters by what lies in landing now: they settle when their file is gone or corrected.

Belongs here: the state of the one dead letter of a file that was refused whole, or could not be
read; and the letters of records whose file was corrected. Does not belong here: the letters of
other records, which stay open until a replay reads them: the next file of that name may be
tomorrow's, which does not hold the record.
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
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, UNSETTLED, DeadLetters
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
from lakehouse.tables.table_types import RawTable


def select_refused(known: LandedFiles, listed: Iterable[ListedFile]) -> dict[str, Entry | None]:
    """Selects from a listing what lies under the names of refused files; None for nothing.

    A member of an archive lies in landing as long as its archive does, whose entry it then has.
    """
    names = {Origin.parse(source).name for source in known.refused}
    wanted = {place for name in names for place in _list_places(name)}
    found = make_entries(one for one in listed if spell_out(one[0]) in wanted) if names else ()
    entries = {entry.name: entry for entry in found}
    return {
        name: next((entries[place] for place in _list_places(name) if place in entries), None)
        for name in names
    }


def _list_places(name: str) -> list[str]:
    """Returns a name, and those that an archive would have of which it names a member."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


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
    if entry.name != origin.name:
        digest = known.register.list_members(entry).get(origin.name)
        if digest is None:  # its archive has no such member any more
            return WITHDRAWN if state == OPEN else state
    return OPEN if digest == origin.digest else SUPERSEDED


def list_dead_records(lake: Lake, table: str, landed: Iterable[Entry]) -> dict[str, State]:
    """Returns the state of the dead records of earlier files with the names of some others."""
    names = {entry.name for entry in landed}
    known = DeadLetters(lake, table).list_record_states() if names else ()
    return {
        source: state
        for source, state in known
        if names.intersection(_list_places(Origin.parse(source).name))
    }


def find_corrected_records(
    lake: Lake,
    raw: RawTable,
    known: LandedFiles,
    landed: Iterable[Entry],
    dead: Mapping[str, State],
) -> dict[str, State]:
    """Finds the files with dead records that files of their name have corrected, or brought back.

    A file corrects an earlier one of its name if it holds each row that the earlier one gave.

    Args:
        lake: where the tables are.
        raw: the raw table.
        known: its deliveries.
        landed: the files that were read just now.
        dead: the files of these names that have dead records.

    Returns:
        The new state of the letters of these records, by `_source`.
    """
    digests: dict[str, str] = {}
    for entry in landed if dead else ():
        if digest := known.register.digests.get(entry):
            digests |= {**known.register.list_members(entry), entry.name: digest}
    states: dict[str, State] = {}
    for source, state in dead.items():
        origin = Origin.parse(source)
        digest = digests.get(origin.name)
        if digest == origin.digest:
            found: State = OPEN
        elif digest is not None and _holds_rows(lake, raw, source, digest):
            found = SUPERSEDED
        else:
            continue
        if found != state:
            states[source] = found
    return states


def _holds_rows(lake: Lake, raw: RawTable, source: str, digest: str) -> bool:
    """Returns whether a delivery holds every row of another one of its name."""
    if lake.open_shared(raw.name) is None:
        return False
    rows, names = lake.scan(raw.name), list(raw.columns)
    # Numbered, because a file may hold equal rows.
    number = pl.int_range(pl.len()).over(names).alias("_number")
    is_new = pl.col("_source").str.ends_with(f"#{digest}")
    before, after = (
        rows.filter(which).select(*names, number) for which in (pl.col("_source") == source, is_new)
    )
    missing = before.join(after, on=[*names, "_number"], how="anti", nulls_equal=True)
    return missing.head(1).collect(engine="streaming").is_empty()


def settle_dead_letters(
    lake: Lake,
    table: str,
    states: Mapping[str, State],
    run_id: str,
    *,
    is_of_records: bool = False,
) -> None:
    """Writes new states of dead letters.

    Gives up silently when other writers keep being faster: the next landing finds the same.

    Args:
        lake: where the tables are.
        table: the raw table.
        states: the new state of each letter, by `_source`.
        run_id: who asks; stored with each letter.
        is_of_records: whether they are the letters of records; else those of whole files.
    """
    # Other writers must not make a landing fail here: its rows are committed.
    if states:
        with suppress(BusyError):
            which = pl.col("_offset").is_null() ^ is_of_records
            retry_if_busy(lambda: _settle(lake, table, which, states, run_id))


def _settle(
    lake: Lake, table: str, which: pl.Expr, states: Mapping[str, State], run_id: str
) -> None:
    with lake.translate_errors():
        handle = lake.open_shared(DEAD_LETTERS)
        if handle is None:
            return
        rows = fill_states(scan_visible_rows(handle))
        state = pl.col("_source").replace_strict(
            list(states), list(states.values()), default=None, return_dtype=pl.String
        )
        is_unsettled = pl.any_horizontal(map(is_in, UNSETTLED))
        is_changed = ((pl.col("table") == table) & which & is_unsettled) & (
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
