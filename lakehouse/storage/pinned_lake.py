"""A lake that stays as it was when it was first looked at."""

from dataclasses import dataclass, field

from deltalake import DeltaTable

from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision


@dataclass(frozen=True)
class PinnedLake(Lake):
    """A lake in which every table stays at the version at which it was first opened.

    A task that looks at many tables opens each once, and sees no commit made meanwhile.
    """

    _opened: dict[tuple[str, int | Revision | None], DeltaTable | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def open_shared(self, table: str, at: int | Revision | None = None) -> DeltaTable | None:
        """Opens a table, by default at the version that was the latest at its first opening."""
        if (table, at) not in self._opened:
            self._opened[table, at] = super().open_shared(table, at)
        return self._opened[table, at]
