"""The sensor that tells Dagster what was settled outside of its runs.

A replay, a discard or a restore at the command line leaves no event, and so the check on dead
letters would stay red, or green, until the next landing.
"""

import json

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import BusyError
from lakehouse.orchestration import metadata
from lakehouse.quarantine.dead_letters import DEAD_LETTERS, count_open_letters
from lakehouse.wording import escape_lines


def define_settled_sensor(environment: Environment) -> dg.SensorDefinition:
    """Defines the sensor, which reports the checks of tables whose open dead letters changed."""

    @dg.sensor(
        name="settled_sensor",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports how many dead letters are open after a replay, a discard or a restore "
        "that no run of Dagster made.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            return _look(environment, context.cursor)
        except BusyError as error:
            return dg.SkipReason(escape_lines(str(error)))

    return sense


def _look(here: Environment, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    told = json.loads(cursor) if cursor else {}
    seen = str(here.lake.revision(DEAD_LETTERS))
    if told.get("seen") == seen:
        return dg.SkipReason("no dead letter changed")
    counts = {raw.name: 0 for raw in here.catalog.raw_tables} | count_open_letters(here.lake)
    before = told.get("open", {})
    return dg.SensorResult(
        asset_events=[
            metadata.to_evaluation(metadata.build_readable_result(here.lake, raw))
            for raw in here.catalog.raw_tables
            # Without a cursor only what is open: a table that was never landed has no check yet.
            if counts[raw.name] != before.get(raw.name, 0)
        ],
        cursor=json.dumps({"seen": seen, "open": counts}),
    )
