"""Finds the version of a raw table from before a file was landed, to restore it."""

import polars as pl

from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.lineage.commit_history import read_audit
from lakehouse.origin import select_name
from lakehouse.tables.table_types import RawTable


def find_version_before(here: Environment, table: str, file: str) -> int:
    """Returns the version of a raw table that was the latest before a file was first landed.

    Args:
        here: where the table is.
        table: the table.
        file: the name of the file.

    Raises:
        SetupError: the table has no rows of such a file, the log no longer holds its commit, or
            there is no version before it.
    """
    if not isinstance(here.catalog[table], RawTable):
        raise SetupError(
            f"{table} is made from other tables, so no file is landed in it.\n"
            "Next: name the raw table of the file, or a version."
        )
    with here.lake.translate_errors():
        rows = here.lake.scan(table).filter(select_name(pl.col("_source")) == file)
        batches = set(rows.select(pl.col("_batch_id").unique()).collect().to_series())
        commits = here.lake.read_remaining_log(table)
    if not batches:
        raise SetupError(
            f"{table} has no rows of a file {file!r}.\n"
            "Next: name a file as `_source` has it, without what follows the `#`."
        )
    audits = [audit for audit in map(read_audit, commits) if audit is not None]
    found = [audit.version for audit in audits if audit.provenance.batch_id in batches]
    versions = [version for version in found if version is not None]
    if not versions:
        raise SetupError(
            f"The log of {table} no longer holds the commit that landed {file}.\n"
            f"Next: move the folder of {table} out of the lake, and land its other files again."
        )
    if min(versions) == 0:
        raise SetupError(
            f"{file} was landed by the first commit of {table}, so there is no version before it.\n"
            f"Next: take the file out of landing, move the folder of {table} out of the lake, and "
            "run again: the other files land again."
        )
    return min(versions) - 1
