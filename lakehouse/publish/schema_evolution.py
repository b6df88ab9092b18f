"""A table's schema grows to hold new columns, or refuses to."""

from deltalake import DeltaTable, Field, Schema

from lakehouse.errors import BusyError, SetupError, list_problems
from lakehouse.publish.request import Sheet
from lakehouse.storage.lake import list_data_files


def has_other_columns(standing: Schema, wanted: Schema) -> bool:
    """Whether a table's columns, by name and type, are not those of its new rows."""
    return {(field.name, str(field.type)) for field in standing.fields} != {
        (field.name, str(field.type)) for field in wanted.fields
    }


def check_partitioning(handle: DeltaTable, sheet: Sheet, wanted: list[str]) -> None:
    """Refuse to write past a table that is partitioned otherwise.

    Raises:
        SetupError: its files are partitioned by other columns than the wanted ones.
    """
    standing = list(handle.metadata().partition_columns)
    if standing != wanted:
        raise SetupError(
            f"{sheet.table}: its files are partitioned by {', '.join(standing) or 'nothing'}, not by "
            f"{', '.join(wanted) or 'nothing'}.\nNext: keep `physical`, or give the table a new name."
        )


def find_missing_columns(handle: DeltaTable, sheet: Sheet, wanted: Schema) -> list[Field]:
    """The columns that a table does not have yet; rows that stay in it will hold null in them.

    Args:
        handle: the table.
        sheet: what is to be written beside rows that stay.
        wanted: its columns.

    Raises:
        SetupError: a column would change its type, or rows that stay would not keep the table's promise.
    """
    standing = {field.name: field for field in handle.schema().fields}
    missing = [field for field in wanted.fields if field.name not in standing]
    problems = [
        f"{field.name} is {standing[field.name].type.type} in the table and {field.type.type} in the new rows"
        for field in wanted.fields
        if field.name in standing and standing[field.name].type != field.type
    ]
    if sheet.required is not None:
        gone = standing.keys() - {field.name for field in wanted.fields}
        problems += [
            f"{name} stands in the table, and is no column of its contract" for name in sorted(gone)
        ]
        problems += [
            f"{field.name} must not be null, and the rows that stay do not have it"
            for field in missing
            if field.name in sheet.required
        ]
    if problems:
        next_step = f"make all{_standing_days(handle, sheet)} again in one run, or keep the columns as they were."
        raise SetupError(
            list_problems(
                f"{sheet.table}: its columns changed, but not all of its rows are replaced.",
                problems,
                next_step,
            )
        )
    return missing


def _standing_days(handle: DeltaTable, sheet: Sheet) -> str:
    """The days between which rows stand, as far as the log tells."""
    bounds, live = (f"min.{sheet.window}", f"max.{sheet.window}"), list_data_files(handle)
    if not set(bounds) <= set(live.columns):
        return " that stands in it"
    return f" that stands in it ({live[bounds[0]].min()!s}...{live[bounds[1]].max()!s})"


def add_columns(handle: DeltaTable, table: str, missing: list[Field]) -> None:
    """Add columns to a table, in a commit of its own, to which the handle moves on.

    Raises:
        BusyError: somebody else committed meanwhile.
    """
    before = handle.version()
    handle.alter.add_columns(missing)
    if handle.version() != before + 1:
        raise BusyError(
            f"{table}: another writer committed while columns were added.\nNext: run again."
        )
