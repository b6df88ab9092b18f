"""A lakehouse engine on Delta Lake, Polars and DuckDB that accounts for every row; it knows no domain."""

import os

# Polars brings jemalloc, which reads this once, when Polars is loaded. As it comes, it has four arenas a core, over
# which a stream strews what it frees, and it gives memory back so soon that a write into many files spends a fifth of
# its time on getting it again. On two cores publishing takes 6 % less time so, and distinct rows a fifth less memory.
os.environ.setdefault(
    "_RJEM_MALLOC_CONF", f"narenas:{os.cpu_count() or 1},dirty_decay_ms:1000,muzzy_decay_ms:0"
)

# Polars reads row groups ahead of those that it works on, up to 128 of them, whatever they weigh, and holds what waits.
# So many KiB keep all cores busy; to make 15 million rows distinct takes a fifth less memory so.
os.environ.setdefault("POLARS_ROW_GROUP_PREFETCH_KBYTES_BUDGET", str(2_048 * (os.cpu_count() or 1)))
