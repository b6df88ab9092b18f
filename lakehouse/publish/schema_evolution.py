"""Schema evolution: a table's columns grow to hold new ones, or the write is refused."""

from deltalake import DeltaTable, Field, Schema

from lakehouse.errors import BusyError, SetupError, list_problems
from lakehouse.publish.request import ReplaceDays, ReplaceKeys, Request
from lakehouse.storage.lake import list_data_files


def has_other_columns(present: Schema, wanted: Schema) -> bool:
    """Returns whether a table's columns, by name and type, are not those of its new rows."""
    # Not by field: fields compare their descriptions as well, and a new text changes no row.
    return {(field.name, str(field.type)) for field in present.fields} != {
        (field.name, str(field.type)) for field in wanted.fields
    }


def check_partitioning(handle: DeltaTable, table: str, wanted: list[str]) -> None:
    """Refuses a table that is partitioned by other columns than the wanted ones.

    Raises:
        SetupError: its files are partitioned otherwise.
    """
    present = list(handle.metadata().partition_columns)
    if present != wanted:
        raise SetupError(
            f"{table}: its files are partitioned by {', '.join(present) or 'nothing'}, not by "
            f"{', '.join(wanted) or 'nothing'}.\n"
            "Next: set `physical` back, or give the table a new name."
        )


def find_missing_columns(handle: DeltaTable, request: Request, wanted: Schema) -> list[Field]:
    """Returns the columns that a table lacks; the rows that stay will hold null in them.

    Args:
        handle: the table.
        request: what is to be written beside rows that stay.
        wanted: its columns.

    Raises:
        SetupError: a column would change its type, or the rows that stay would break the contract.
    """
    present = {field.name: field for field in handle.schema().fields}
    missing = [field for field in wanted.fields if field.name not in present]
    problems = [
        f"{field.name} is {present[field.name].type.type} in the table "
        f"and {field.type.type} in the new rows"
        for field in wanted.fields
        if field.name in present and present[field.name].type != field.type
    ]
    required = request.required if isinstance(request, ReplaceDays | ReplaceKeys) else None
    # With required columns the table keeps exactly the columns of its contract. A renamed column
    # once stayed beside its new self, and the published version broke the contract.
    if required is not None:
        dropped = present.keys() - {field.name for field in wanted.fields}
        problems += [
            f"{name} is a column of the table, but not of its contract" for name in sorted(dropped)
        ]
        problems += [
            f"{field.name} must not be null, but the rows that stay have no value for it"
            for field in missing
            if field.name in required
        ]
    if problems:
        raise SetupError(
            list_problems(
                f"{request.table}: its columns changed, but not all of its rows are replaced.",
                problems,
                f"rebuild all{_describe_days(handle, request)} in one run, "
                "or keep the columns as they were.",
            )
        )
    return missing


def _describe_days(handle: DeltaTable, request: Request) -> str:
    """Returns the first and the last day of the table's rows, as far as the log knows them."""
    column = request.day_column if isinstance(request, ReplaceDays) else None
    bounds, live = (f"min.{column}", f"max.{column}"), list_data_files(handle)
    if not set(bounds) <= set(live.columns):
        return " its rows"
    return f" its days ({live[bounds[0]].min()!s}...{live[bounds[1]].max()!s})"


def add_columns(handle: DeltaTable, table: str, missing: list[Field]) -> None:
    """Adds columns to a table in a commit of its own, and moves the handle on to it.

    Raises:
        BusyError: another writer committed meanwhile.
    """
    # `alter` commits on the latest version, whatever the handle has seen.
    before = handle.version()
    handle.alter.add_columns(missing)
    # More than one version further, the handle has passed over the commit of another writer.
    if handle.version() != before + 1:
        raise BusyError(
            f"{table}: another writer committed while columns were added.\nNext: run again."
        )
