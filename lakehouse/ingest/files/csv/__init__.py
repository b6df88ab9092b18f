"""CSV: the dialect, the grammar of a record, the fast path and the exact one."""
