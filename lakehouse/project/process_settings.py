"""Settings of a process: Polars' memory, Python's garbage collector, Dagster's event batches.

Belongs here: what can be set only once, for everything that runs in a process. Importing this
module changes nothing; the module where a process starts (`definitions.py`, `command.py`) calls
these functions at the right moment.
"""

import gc
import os

EVENT_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
"""Environment variable by which Dagster stores events in batches; without it there are none."""


def configure_polars() -> None:
    """Configures Polars' memory; has no effect once Polars is loaded.

    Values that the user exported take precedence.
    """
    cores = os.cpu_count() or 1
    # Polars brings jemalloc, which reads this once, when Polars is loaded. By default it has four
    # arenas a core, over which a stream scatters what it frees. It returns memory to the system
    # so soon that a write into many files spends a fifth of its time on getting it again. Measured
    # on two cores, these values save 6 % of the time of a publish and a fifth of the memory that
    # distinct rows take.
    os.environ.setdefault(
        "_RJEM_MALLOC_CONF", f"narenas:{cores},dirty_decay_ms:1000,muzzy_decay_ms:0"
    )
    # In KiB. Polars reads up to 128 row groups ahead, whatever their size, and holds those that
    # wait. This much keeps all cores busy, and 15 million distinct rows take a fifth less memory.
    os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_KBYTES_BUDGET", str(2_048 * cores))


def pause_collector() -> None:
    """Stops the garbage collector while libraries are imported.

    What is imported stays, and searching it for garbage takes a seventh of the loading time.
    """
    gc.disable()


def resume_collector() -> None:
    """Starts the garbage collector again, and excludes the objects that exist now.

    Dagster and the libraries are imported by now, and stay. Each full collection would search their
    150,000 objects again. The last one, at exit, is a quarter of the cost of a process that loads
    the definitions and ends.
    """
    gc.freeze()
    gc.enable()


def batch_events() -> None:
    """Lets Dagster store the events of a run in batches of 1,000, or of the number exported."""
    os.environ.setdefault(EVENT_BATCH_SIZE, "1000")
