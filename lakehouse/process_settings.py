"""Settings of a whole process: Polars' memory, Python's garbage collector, Dagster's batches of events.

Belongs here: what can only be set once, for everything that runs in a process. Importing this module changes nothing;
a module where a process starts (`definitions.py`, `command.py`) calls these functions at the right moment.
"""

import gc
import os

EVENT_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
"""Environment variable by which Dagster gathers events into batches; without it there are none."""


def configure_polars() -> None:
    """Sets up Polars' memory; has no effect once Polars is loaded. What the user exported stays as it is."""
    cores = os.cpu_count() or 1
    # Polars brings jemalloc, which reads this once, when Polars is loaded. Its defaults are four arenas a core, over
    # which a stream scatters what it frees, and memory goes back to the system so soon that a write into many files
    # spends a fifth of its time on getting it again. With these values, measured on two cores, publishing takes 6 %
    # less time, and distinct rows take a fifth less memory.
    os.environ.setdefault(
        "_RJEM_MALLOC_CONF", f"narenas:{cores},dirty_decay_ms:1000,muzzy_decay_ms:0"
    )
    # KiB. Polars reads up to 128 row groups ahead, whatever they weigh, and holds those that wait. This much keeps all
    # cores busy; to make 15 million rows distinct takes a fifth less memory with it.
    os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_KBYTES_BUDGET", str(2_048 * cores))


def pause_collector() -> None:
    """Stops the garbage collector while libraries are imported.

    What is imported stays: looking for garbage in it is a seventh of the time that loading the definitions takes.
    """
    gc.disable()


def resume_collector() -> None:
    """Starts the garbage collector again, without the objects that are there now.

    Dagster and the libraries are imported by now, and stay. Otherwise each full collection goes through their 150,000
    objects again; the last one, at exit, is a quarter of the cost of a process that loads the definitions and ends.
    """
    gc.freeze()
    gc.enable()


def batch_events() -> None:
    """Lets Dagster store the events of a run in batches of a thousand, unless the user exported another number."""
    os.environ.setdefault(EVENT_BATCH_SIZE, "1000")
