"""The names under which the columns of a delivery land, in every format.

| in the file | in the table |
|---|---|
| begins with `_`, as the engine's own columns do | with `source` before it: `_id` is `source_id` |
| `*` or `^…$`, which queries would read as a pattern | with `source_` before it |
| control characters, line ends and NUL | a blank in their place |
| blank | `column_` and its position from 1 |
| the same name once more, also in other case | numbered: `timestamp`, `timestamp_2` |

A name that needs no change keeps it: a changed or numbered one takes the next number that is free.
What a name becomes depends on its file alone, never on the table, so the order of files decides
nothing.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.tables.column_names import is_pattern

# A file may have thousands of columns, with names as long as a line may be. A reason is read by
# people, in one line.
_SHOWN = 60
_SHOWN_CHARACTERS = 80
# Arrow passes names on as C strings, so a NUL byte would cut one; the others cannot be typed.
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]+")
# What the escape `\ud800` gives by itself in JSON; no text can hold it.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class LandedNames(NamedTuple):
    """The names of columns in the table.

    Attributes:
        names: the names, in the order of the columns.
        delivered: the name in the file, by the name in the table where both differ. Of a repeated
            name only the first is here: the file has one name for all of them.
        changes: each change, for people.
    """

    names: list[str]
    delivered: dict[str, str]
    changes: list[str]


def list_names(names: Collection[str]) -> str:
    """Returns names for a message, cut where they are too long or too many."""
    short = [
        n if len(n) <= _SHOWN_CHARACTERS else f"{n[:_SHOWN_CHARACTERS]}…"
        for n in list(names)[:_SHOWN]
    ]
    more = [f"and {len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else []
    return _LONE_SURROGATE.sub("\ufffd", ", ".join(short + more))


def strip_cells(cells: Sequence[str]) -> list[str]:
    """Returns the stripped names of a header, without the blank ones at its end."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def land_columns(ledger: RecordLedger, delivered: Sequence[str], required: Collection[str]) -> None:
    """Sets the columns of a file whose header names them; required ones in the required spelling.

    Raises:
        RefusedError: there is no column, or too many, or a required one is missing.
    """
    if not delivered:
        raise RefusedError("no column has a name")
    most = ledger.limits.columns
    if len(delivered) > most:
        raise RefusedError(f"{len(delivered):,} columns; limit {most:,} (columns)")
    landed = land_names(delivered)
    refuse_missing(landed.names, required)
    set_columns(ledger, landed, required)


def set_columns(ledger: RecordLedger, landed: LandedNames, required: Collection[str]) -> None:
    """Sets the columns of a file and notes what has another name than in the file."""
    wanted = fold_names(required)
    ledger.columns = [wanted.get(name.casefold(), name) for name in landed.names]
    spelled = dict(zip(landed.names, ledger.columns, strict=True))
    ledger.delivered = {spelled[name]: old for name, old in landed.delivered.items()}
    if landed.changes:
        ledger.notes.append(f"columns under other names: {list_names(landed.changes)}")


def land_names(
    delivered: Sequence[str], clean: Callable[[str, int], str] | None = None
) -> LandedNames:
    """Returns the names under which columns land; see the table of this module.

    Args:
        delivered: the names in the file, in order; outer blanks do not count.
        clean: returns the wanted name of a column from its name in the file and its position; None
            for the rule of this module.
    """
    stripped = [name.strip() for name in delivered]
    wanted = [(clean or clean_name)(name, n) for n, name in enumerate(stripped, 1)]
    # The columns that keep their name come first, so that no changed name takes it from them.
    kept = [n for n, name in enumerate(stripped) if wanted[n] == name]
    changed = [n for n, name in enumerate(stripped) if wanted[n] != name]
    names = [""] * len(stripped)
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    repeated: list[int] = []
    for place in kept:
        if (fold := wanted[place].casefold()) in taken:
            repeated.append(place)
        else:
            names[place] = wanted[place]
            taken.add(fold)
    for place in sorted([*changed, *repeated]):
        names[place] = _number(wanted[place], taken, numbers)
        taken.add(names[place].casefold())
    return _describe(stripped, names)


def _number(wanted: str, taken: Collection[str], numbers: dict[str, int]) -> str:
    """Returns a name that is free: the wanted one, or with the next number."""
    fold, name = wanted.casefold(), wanted
    number = numbers.get(fold, 1)
    while name.casefold() in taken:
        number += 1
        name = f"{wanted}_{number}"
    # Remembered: a header of thousands of equal names would count up from 2 for each.
    numbers[fold] = number
    return name


def _describe(stripped: Sequence[str], names: Sequence[str]) -> LandedNames:
    known: set[str] = set()
    delivered: dict[str, str] = {}
    changes: list[str] = []
    for old, new in zip(stripped, names, strict=True):
        is_first = old.casefold() not in known
        known.add(old.casefold())
        if old == new:
            continue
        changes.append(f"{_show(old)} as {new}")
        if is_first and old:
            delivered[new] = old
    return LandedNames(list(names), delivered, changes)


def _show(name: str) -> str:
    """Returns a name for people, with its control characters escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return shown or "(blank)"


def clean_name(name: str, position: int) -> str:
    """Returns the name that a column may have in a table; see the table of this module."""
    text = _LONE_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", name)).strip()
    if not text:
        return f"column_{position}"
    if text.startswith("_"):
        return f"source{text}"
    return f"source_{text}" if is_pattern(text) else text


def has_nul(name: str) -> bool:
    """Returns whether a name has a NUL byte; Arrow could not open a table with such a column."""
    return "\0" in name


def fold_names(required: Collection[str]) -> dict[str, str]:
    """Maps names as they are compared, stripped and without case, to their required spelling."""
    return {name.strip().casefold(): name for name in required}


def refuse_missing(names: Collection[str], required: Collection[str]) -> None:
    """Refuses a file that lacks required columns.

    Raises:
        RefusedError: some are missing; the message lists them and those of the file.
    """
    found = {name.casefold() for name in names}
    if missing := [name for key, name in fold_names(required).items() if key not in found]:
        raise RefusedError(
            f"columns missing: {list_names(missing)}; the file has: {list_names(names)}"
        )
