"""The plan of one write: the table as it was read, what is replaced, and the new columns.

Belongs here: everything that is known before a file is written. Does not belong here: the files
(`file_writer.py`) and the commit (`table_commit.py`).
"""

from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable, Schema

from lakehouse.publish.replacement import Replacement, plan_replacement
from lakehouse.publish.request import Partitioning, Request, find_partitioning
from lakehouse.publish.schema_evolution import (
    check_partitioning,
    find_missing_columns,
    has_other_columns,
)
from lakehouse.storage.delta_types import to_delta_schema
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision
from lakehouse.storage.write_guards import check_writable


@dataclass(frozen=True)
class WritePlan:
    """What a request does to its table.

    Attributes:
        request: what is asked for.
        handle: the table at the revision that the caller has read; None where the commit creates
            it.
        columns: the columns of the new rows.
        schema: the same as the log names them, with the partition column.
        replacement: what is replaced; None where rows are only added.
    """

    request: Request
    handle: DeltaTable | None
    columns: pl.Schema
    schema: Schema
    replacement: Replacement | None

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.request.table

    @property
    def partitioning(self) -> Partitioning | None:
        """How the files are partitioned."""
        return find_partitioning(self.request)

    @property
    def partition_column(self) -> str | None:
        """The partition column; None for a table that is not partitioned."""
        return None if self.partitioning is None else self.partitioning.name

    @property
    def keeps_no_row(self) -> bool:
        """Whether no row of the table stays as it is, so that the table may get other columns."""
        if self.handle is None:
            return True
        if self.replacement is None or (self.replacement.kept and not self.replacement.is_retyping):
            return False
        return self.replacement.removed.height == len(self.handle.file_uris())

    @property
    def changes_columns(self) -> bool:
        """Whether the commit that removes all rows of the table gives it other columns as well."""
        return (
            self.handle is not None
            and self.keeps_no_row
            and has_other_columns(self.handle.schema(), self.schema)
        )

    @property
    def is_exclusive(self) -> bool:
        """Whether no other commit may come between the version that was read and this one."""
        return self.replacement is not None and self.replacement.is_exclusive


def plan_write(lake: Lake, request: Request) -> WritePlan:
    """Returns the plan of a request, checked before anything is written.

    Raises:
        SetupError: the table is partitioned otherwise, or its columns changed and some of its rows
            would stay; or two writers of this bucket would lose commits.
    """
    # Before any file is written: a bucket without put-if-absent loses commits in silence.
    check_writable(lake)
    handle = _open_base(lake, request)
    columns, partitioning = request.rows.collect_schema(), find_partitioning(request)
    partition_column = None if partitioning is None else partitioning.name
    schema = to_delta_schema(columns, request.info.comments, partition_column)
    if handle is None:
        return WritePlan(request, None, columns, schema, None)
    # Before the replacement is planned: that may read files.
    check_partitioning(handle, request.table, [partition_column] if partition_column else [])
    replacement = plan_replacement(lake, request, handle, columns)
    plan = WritePlan(request, handle, columns, schema, replacement)
    # Rows that stay need columns that fit the new ones. Refused here, neither the table nor its
    # quarantine has changed.
    if not plan.keeps_no_row:
        find_missing_columns(handle, request, schema)
    return plan


def _open_base(lake: Lake, request: Request) -> DeltaTable | None:
    """Opens the table at the revision that a request is based on."""
    if request.base is None:
        return None
    if not isinstance(request.base, Revision):
        return lake.open_shared(request.table)
    # At the revision that was read, though a later one may exist: the commit has to see the
    # difference as a conflict.
    return lake.open_revision(request.table, request.base)
