"""The names that columns of a delivery may have, and how they are spelled, in every format."""

from collections import Counter
from collections.abc import Collection, Sequence

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.tables.column_names import is_pattern

# A file may have thousands of columns, with names as long as a line may be. A reason is read by
# people, in one line.
_SHOWN = 60
_SHOWN_CHARACTERS = 80


def list_names(names: Collection[str]) -> str:
    """Returns names for a message, cut where they are too long or too many."""
    short = [
        n if len(n) <= _SHOWN_CHARACTERS else f"{n[:_SHOWN_CHARACTERS]}…"
        for n in list(names)[:_SHOWN]
    ]
    more = [f"and {len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else []
    return ", ".join(short + more)


def name_columns(cells: Sequence[str]) -> list[str]:
    """Returns the stripped names of a header; blank ones are dropped at its end, or numbered."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return [name or f"column_{number}" for number, name in enumerate(names, 1)]


def spell_names(names: Sequence[str], required: Collection[str], most: int) -> list[str]:
    """Spells column names as the table knows them: required ones in the required spelling.

    Raises:
        RefusedError: there is no name; or there are too many; or some differ only by case, are
            reserved for the engine, are patterns or have a NUL byte; or a required one is missing.
    """
    if not names:
        raise RefusedError("no column has a name")
    if len(names) > most:
        raise RefusedError(f"{len(names):,} columns; limit {most:,} (columns)")
    # Delta Lake compares names without their case, so two that differ only by case are one column.
    counts = Counter(name.casefold() for name in names)
    if repeated := [name for name in names if counts[name.casefold()] > 1]:
        raise RefusedError(f"duplicate column names: {list_names(repeated)}")
    if reserved := [name for name in names if name.startswith("_")]:
        raise RefusedError(
            f"column names beginning with _ are reserved for the engine: {list_names(reserved)}"
        )
    if patterns := [name for name in names if is_pattern(name)]:
        raise RefusedError(
            f"column names that queries would read as patterns: {list_names(patterns)}"
        )
    # Arrow passes names on as C strings: one such file made every later look at its table fail.
    if with_nul := [name for name in names if has_nul(name)]:
        raise RefusedError(
            f"column names with a NUL byte, which a table cannot have: {list_names(with_nul)}"
        )
    refuse_missing(names, required)
    wanted = fold_names(required)
    return [wanted.get(name.casefold(), name) for name in names]


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
