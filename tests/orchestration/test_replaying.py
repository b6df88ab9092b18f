"""The replay job: what it makes, what it reports to Dagster, and how it fails."""

from datetime import date

import dagster as dg
import polars as pl
import pytest
from polars import col
from support.worlds import bring_up_to_date, catalog_of, in_state, world, write

from lakehouse.calendar import Daily
from lakehouse.definitions import definitions
from lakehouse.tables.casting import cast
from lakehouse.tables.contract import Contract, Field
from lakehouse.tables.declare import raw, staged

raw_notes = raw(
    "notes", "Notes.", columns=("id", "day"), day=col("day").str.to_date("%Y-%m-%d", strict=False)
)


def declared(most):
    """Notes whose numbers must not exceed a limit."""

    class Note(Contract):
        id: pl.Int64 = Field(le=most)
        day: pl.Date

        class Table:
            date_column = "day"
            max_quarantined = 0.7

    @staged(Note, partitions=Daily(date(2024, 6, 1)))
    def notes(raw_notes):
        """Typed notes."""
        return cast(
            raw_notes,
            id=col("id").cast(pl.Int64, strict=False),
            day=col("day").str.to_date("%Y-%m-%d", strict=False),
        )

    return catalog_of(raw_notes=raw_notes, notes=notes)


@pytest.fixture
def here(tmp_path):
    made = world(tmp_path, declared(2))
    write(
        made,
        "notes",
        "a.csv",
        "id,day\n1,2024-06-01\n3,2024-06-01\n2,2024-06-02\n1,2024-06-03\n4,2024-06-03\n",
    )
    bring_up_to_date(made)
    return made


def replayed(here, table):
    config = {
        "ops": {"replay_table": {"config": {"table": table}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    job = definitions(here).resolve_job_def("replay_job")
    return job.execute_in_process(run_config=config, raise_on_error=False)


def test_a_replay_makes_the_periods_with_open_rows_and_tells_what_it_came_to(here, tmp_path):
    result = replayed(world(tmp_path, declared(3)), "staged/notes")
    assert result.success
    made = [
        event.step_materialization_data.materialization.partition
        for event in result.all_events
        if is_made(event)
    ]
    assert made == ["2024-06-01", "2024-06-03"]
    [seen] = [
        e.asset_observation_data.asset_observation
        for e in result.all_events
        if e.event_type_value == OBSERVED
    ]
    assert (seen.metadata["released"].value, seen.metadata["open"].value) == (1, 1)
    assert set(in_state(here, "quarantine/staged_notes", "released")["_settled_by"]) == {
        result.run_id
    }


OBSERVED = "ASSET_OBSERVATION"


def is_made(event):
    return event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION


def test_a_replay_of_no_table_fails_and_names_those_that_there_are(here):
    result = replayed(here, "staged/nothing")
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert (
        "use one of raw/notes, staged/notes"
        in failure.step_failure_data.user_failure_data.description
    )


def test_a_replay_that_is_held_back_fails_and_says_why(here, tmp_path):
    version = here.lake.version("staged/notes")
    result = replayed(world(tmp_path, declared(0)), "staged/notes")
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "rows break the contract" in failure.step_failure_data.user_failure_data.description
    assert here.lake.version("staged/notes") == version


def test_a_replay_of_dead_letters_is_the_same_job(here):
    write(here, "notes", "b.csv", "id\n")
    bring_up_to_date(here)
    assert replayed(here, "raw/notes").success
    assert set(in_state(here, "quarantine/dead_letters")["_tries"]) == {2}
