"""Dagster's view of the engine: the only package that imports dagster."""

import gc

BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
"""Environment variable by which Dagster gathers events into batches; without it there are none."""

# Dagster and the libraries are imported by now, and stay. Else each full collection, one at exit among them, goes
# through their 150,000 objects again: a fifth of what a process takes that loads the definitions.
gc.freeze()
