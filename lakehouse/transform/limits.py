"""How much one make holds in memory at once, and how far it looks back in a log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MakeLimits:
    """The limits of one make; the defaults suit a process of some 500 MB.

    Attributes:
        distinct_rows: rows among which repeats are looked for at once; larger inputs are divided by
            key on disk.
        keyed_rows: new events and stored rows of their keys that are merged at once; more are
            divided by key on disk.
        open_files: files that are written at once while rows are divided; each takes some 5 MB,
            whatever is in it.
        latest_commits: commits of a table's own log that are read for its last audit, before its
            whole log is.
    """

    # More rows than these go to disk in parts: ten times the rows must not take ten times the
    # memory.
    distinct_rows: int = 131_072
    keyed_rows: int = 65_536
    open_files: int = 16
    latest_commits: int = 20
