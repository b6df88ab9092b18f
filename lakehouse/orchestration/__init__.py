"""Dagster's view of the engine: the only package that imports dagster."""

import gc

BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
"""Environment variable by which Dagster gathers events into batches; without it there are none."""

# Dagster and the libraries are imported by now, and stay. Else each full collection goes through their 150,000 objects
# again; the last one, at exit, takes a quarter of what a process costs that loads the definitions and ends.
gc.freeze()
