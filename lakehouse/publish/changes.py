"""What a commit tells the readers of its table: the affected days, and the content it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass

from lakehouse.calendar import Days
from lakehouse.storage.revision import Revision


@dataclass(frozen=True)
class AffectedDays:
    """The days that a change of some keys affects in a reader that looks rows up by key.

    It names no key, because keys may be personal data.

    Attributes:
        by: the columns of the reader's first input by which it looks rows up.
        days: the days on which that input holds one of the keys and the row of the key has changed.
        revision: the revision of that input that was read; None where there was none.
    """

    by: tuple[str, ...]
    days: tuple[Days, ...]
    revision: Revision | None = None


@dataclass(frozen=True)
class Content:
    """Hashes of the rows that a table holds after a commit, whatever the order of the rows.

    Attributes:
        method: what a hash depends on beside the rows; hashes of different methods are not
            comparable.
        hashes: the hash of each period that was made, by its first day; by `all` for a table
            without periods.
    """

    method: str
    hashes: Mapping[str, str]
