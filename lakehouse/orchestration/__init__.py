"""Dagster's view of the engine: the only package that imports dagster."""

BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
"""Environment variable by which Dagster gathers events into batches; without it there are none."""
