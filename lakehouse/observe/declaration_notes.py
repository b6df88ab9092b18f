"""Notes on tables of the lake that are not as they are declared, each with the next step."""

from lakehouse.environment import Environment
from lakehouse.storage.lake import scan_visible_rows


def describe_orphans(here: Environment) -> list[str]:
    """Returns a note on the tables that nothing declares any more, if there are any."""
    # The quarantine of a table goes where the table goes, so it is no choice of its own.
    orphans = here.list_orphans()
    if not orphans:
        return []
    note = (
        f"Nothing declares {', '.join(orphans)} any more, so no run brings them up to date.\n"
        "Next: declare the table again; or `lakehouse drop <table>` to delete it; "
        "or, for a raw table that was renamed, `lakehouse adopt <table> <new name>`."
    )
    return [note]


def describe_other_types(here: Environment) -> list[str]:
    """Returns a note on each raw table that stores a column in another type than is declared."""
    notes = []
    for raw in here.catalog.raw_tables:
        handle = here.lake.open_shared(raw.name)
        stored = {} if handle is None else scan_visible_rows(handle).collect_schema()
        others = [
            f"{name} is stored as {stored[name]}, declared {dtype}"
            for name, dtype in raw.columns.items()
            if name in stored and stored[name] != dtype
        ]
        if others:
            notes.append(
                f"{raw.name}: {'; '.join(others)}. A stored column is widened where a file needs "
                "it, and never changed by a declaration alone.\n"
                f"Next: `lakehouse retype {raw.name}`, which writes its rows again in the declared "
                "types if every value fits; or declare what is stored."
            )
    return notes
