"""Revisions: a version of one particular table, and its text form in commits and cursors.

A version alone is not enough. A table that was deleted and built again counts its versions from
zero again, under another id.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deltalake import DeltaTable

# `12@7f4a…`: version and table id.
_TEXT = re.compile(r"(\d+)@(.+)")


@dataclass(frozen=True)
class Revision:
    """A version of a table. Where there is no table, None takes its place.

    Attributes:
        version: the version, from 0.
        table_id: the id that Delta gave the table when it was created.
    """

    version: int
    table_id: str

    def __str__(self) -> str:
        return f"{self.version}@{self.table_id}"

    def is_in(self, current: "Revision | None") -> bool:
        """Returns whether a table that is now at another revision was once at this one."""
        # Within one table versions only grow: a RESTORE makes a new one, too.
        return (
            current is not None
            and self.table_id == current.table_id
            and self.version <= current.version
        )


Base = Revision | None | Literal["latest"]
"""What a write is based on: a revision that was read, None for no table, or the latest one."""


def parse_revision(text: object) -> Revision | None:
    """Reads the text form of a revision; None for anything else."""
    # Cursors may be old or edited. What cannot be read counts as unknown, and is looked up anew.
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    return Revision(int(found[1]), found[2]) if found else None


def parse_revisions(texts: Mapping[str, object]) -> dict[str, Revision]:
    """Reads the revisions of several tables by their names, and leaves out what is not one."""
    revisions = {name: parse_revision(text) for name, text in texts.items()}
    return {name: found for name, found in revisions.items() if found is not None}


def read_revision(handle: DeltaTable) -> Revision:
    """Returns the revision at which a table is open."""
    return Revision(handle.version(), str(handle.metadata().id))


def log_position(revision: Revision | None) -> int:
    """Returns the version after which to read a log for what came since; -1 for all of it."""
    return -1 if revision is None else revision.version
