"""A lakehouse engine on Delta Lake, Polars and DuckDB that accounts for every row; it knows no domain."""

import os

# Polars brings jemalloc, which reads this once, when Polars is loaded. As it comes, it has four arenas a core, over
# which a stream strews what it frees, and it gives memory back so soon that a write into many files spends a fifth of
# its time on getting it again. On two cores publishing takes 6 % less time so, and distinct rows a fifth less memory.
os.environ.setdefault("_RJEM_MALLOC_CONF", f"narenas:{os.cpu_count() or 1},dirty_decay_ms:1000,muzzy_decay_ms:0")
