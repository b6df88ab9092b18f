"""The files of one write: new rows, rows that move, and the actions of the files.

Belongs here: the lazy writes and the Delta actions. Does not belong here: which files are replaced
(`replacement.py`) or compacted (`auto_compaction.py`), and the commit (`table_commit.py`).
"""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import obstore
import polars as pl
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.failpoints import failpoint
from lakehouse.publish.auto_compaction import Compaction, plan_compaction
from lakehouse.publish.coalesce_batches import BatchCoalescer
from lakehouse.publish.file_actions import (
    NULL_PARTITION,
    WrittenFile,
    format_partition,
    make_add_actions,
    make_relative,
    make_remove_actions,
)
from lakehouse.publish.request import Append, ReplaceDays, Request
from lakehouse.publish.schema_evolution import find_missing_columns
from lakehouse.publish.write_plan import WritePlan
from lakehouse.storage.lake import Lake
from lakehouse.storage.limits import WriteLimits
from lakehouse.storage.log import MOVED
from lakehouse.storage.object_store import describe_store_error, fetch_all
from lakehouse.storage.parquet import scan_parquet_files

_log = logging.getLogger(__name__)


class FileWriter:
    """The files of one write: streams rows to them, and collects their actions.

    No reader sees a file before the commit that adds it.

    Attributes:
        new: the files with the rows of the request, once the pass over them has ended.
        moved: the files with rows that stay beside replaced ones.
        compacted: the files with the rows of many small ones.
    """

    def __init__(self, lake: Lake, plan: WritePlan) -> None:
        self.lake, self.plan = lake, plan
        self.new: list[WrittenFile] = []
        self.moved: list[WrittenFile] = []
        self.compacted: list[WrittenFile] = []
        self._compaction: Compaction | None = None
        self._started: list[str] = []
        self._keeps_live_files = False

    def sink_new_rows(self) -> pl.LazyFrame:
        """Returns the lazy write of the rows of the request."""
        request = self.plan.request
        split_by = request.split_by if isinstance(request, Append) else None
        return self._sink(request.rows, self.new, split_by)

    def count_replaced_rows(self) -> pl.LazyFrame | None:
        """Returns the query that counts replaced rows; None where no row of their files stays."""
        return None if self.plan.replacement is None else self.plan.replacement.replaced

    def compact_small_files(self) -> None:
        """Writes the rows of the small files next to the new rows into fewer, larger ones."""
        if self.plan.handle is None:
            return
        request, handle = self.plan.request, self.plan.handle
        self._compaction = plan_compaction(self.lake, request, handle, self.plan.replacement)
        if self._compaction is None:
            return
        for rows in self._compaction.rows:
            self._sink(rows, self.compacted).collect(engine="streaming")
        self._compaction.check_moved_rows(self.plan.table, _count_rows(self.compacted))

    def move_kept_rows(self, replaced: int) -> None:
        """Writes the rows that stay to new files, one part at a time.

        Args:
            replaced: the answer to `count_replaced_rows`.

        Raises:
            LawError: rows were lost or repeated on the way; nothing was published.
        """
        replacement = self.plan.replacement
        if replacement is None:
            return
        for rows in replacement.kept:
            self._sink(rows, self.moved).collect(engine="streaming")
        replacement.check_moved_rows(self.plan.table, _count_rows(self.moved), replaced)

    def keep_live_files(self) -> bool:
        """Leaves the live files of the table, because the new files hold the same rows.

        The commit relies on the live files as if it removed them.

        Returns:
            False where they cannot stay: a file is lost, or the table gets other columns.
        """
        plan = self.plan
        if plan.handle is None or plan.replacement is None or plan.changes_columns:
            return False
        if find_missing_columns(plan.handle, plan.request, plan.schema):
            return False
        live = plan.replacement.removed
        # One request a file: a rebuild must write a lost file again, not vouch for it.
        sizes = fetch_all(self._read_size, live["path"].to_list(), self.lake.requests_at_once)
        if sizes != live["size_bytes"].to_list():
            return False
        # The files just written are no longer listed, so `delete_files` deletes them.
        self.new, self.moved, self.compacted, self._compaction = [], [], [], None
        self._keeps_live_files = True
        return True

    def _read_size(self, path: str) -> int | None:
        try:
            return int(obstore.head(self.lake.store, f"{self.plan.table}/{path}")["size"])
        except FileNotFoundError:
            return None

    def _sink(
        self, rows: pl.LazyFrame, done: list[WrittenFile], split_by: str | pl.Expr | None = None
    ) -> pl.LazyFrame:
        """Returns the lazy write of rows; each finished file is added to `done`."""
        partitioning = self.plan.partitioning
        division: dict[str, Any] = {"max_rows_per_file": self.lake.limits.rows_per_file}
        if partitioning is not None:
            # A sink pays for each piece of each batch, so large batches make it faster.
            rows = BatchCoalescer(partitioning.name, self.lake.limits.batches).apply(
                partitioning.add_to(rows)
            )
            # The log and the folder hold the partition value; the file does not repeat it.
            division = {"key": partitioning.name, "include_key": False}
        elif split_by is not None:
            # An expression is no column of the table, so no file may hold it.
            division = {"key": split_by, "include_key": isinstance(split_by, str)}

        def report_finished(sinked: Any) -> None:  # noqa: ANN401
            done.extend(
                WrittenFile(file.path, file.num_rows, file.num_bytes) for file in sinked.paths
            )

        sink = rows.sink_parquet(
            pl.PartitionBy(
                self.lake.uri(self.plan.table), file_path_provider=self._name_file, **division
            ),
            # As other writers of Delta compress: a query takes a fifth less time than with
            # Zstandard, and files are half as large again.
            compression="snappy",
            row_group_size=choose_row_group_size(self.plan.request, self.lake.limits),
            lazy=True,
            # A bucket has no folders.
            mkdir=self.lake.is_local,
            storage_options=dict(self.lake.options) or None,
            sinked_paths_callback=report_finished,
        )
        # A lazy sink is always a frame.
        assert sink is not None  # noqa: S101
        return sink

    def _name_file(self, file: Any) -> str:  # noqa: ANN401
        """Returns the path of a file that a sink begins; several threads ask at the same time."""
        column, folder = self.plan.partition_column, ""
        if column is not None:
            value = format_partition(file.partition_keys[column][0])
            folder = f"{column}={value or NULL_PARTITION}/"
        path = f"{folder}{uuid4()}.parquet"
        failpoint("files: file begun")
        # Noted before the file exists, so that a broken pass can be cleaned up.
        self._started.append(path)
        return path

    def scan_new_rows(self) -> pl.LazyFrame:
        """Returns the rows of the request, read back from their files."""
        paths = [file.path for file in self.new if file.rows]
        if not paths:
            return pl.LazyFrame(schema=self.plan.columns)
        return scan_parquet_files(paths, self.lake.options)

    @property
    def new_rows(self) -> int:
        """How many rows of the request were written."""
        return _count_rows(self.new)

    @property
    def carried_rows(self) -> int:
        """How many rows of the table moved to other files."""
        return _count_rows(self.moved) + _count_rows(self.compacted)

    @property
    def files(self) -> list[WrittenFile]:
        """The files that hold rows."""
        # An unpartitioned sink writes one file even when it gets no row.
        return [file for file in (*self.new, *self.moved, *self.compacted) if file.rows]

    @property
    def removes_files(self) -> bool:
        """Whether the commit removes files of the table, or relies on those that it keeps."""
        return any(not files.is_empty() for files in self._removed())

    @property
    def has_changes(self) -> bool:
        """Whether the request adds or removes rows."""
        replacement = self.plan.replacement
        return self.new_rows > 0 or (replacement is not None and replacement.removed.height > 0)

    def _removed(self) -> Sequence[pl.DataFrame]:
        """The files that are replaced, and those that are compacted."""
        replaced = [] if self.plan.replacement is None else [self.plan.replacement.removed]
        return replaced if self._compaction is None else [*replaced, self._compaction.files]

    def list_removed_paths(self) -> list[str]:
        """Returns the files that the commit removes, or relies on."""
        return [path for files in self._removed() for path in files["path"]]

    def make_add_actions(self) -> list[AddAction]:
        """Returns the actions that add the files."""
        return make_add_actions(self.lake, self.plan.request, self.plan.columns, self.files)

    def make_remove_actions(self) -> list[RemoveAction]:
        """Returns the actions that remove the files that are replaced or compacted."""
        if self._keeps_live_files:
            return []
        column = self.plan.partition_column
        return [
            action for files in self._removed() for action in make_remove_actions(column, files)
        ]

    def describe_moves(self) -> dict[str, Any]:
        """Returns what the commit says of files whose rows only moved; see `log.MOVED`."""
        if self._compaction is None:
            return {}
        added = [make_relative(self.plan.table, file.path) for file in self.compacted if file.rows]
        return {MOVED: {"added": added, "removed": self._compaction.files["path"].to_list()}}

    def delete_files(self, keep: Collection[WrittenFile] = ()) -> None:
        """Deletes the files that were started.

        A pass that broke off reports no file, and what its threads write after this is an orphan
        for vacuum.

        Args:
            keep: files that are part of the table by now.
        """
        table = self.plan.table
        kept = {make_relative(table, file.path) for file in keep}
        try:
            for path in set(self._started) - kept:
                with suppress(FileNotFoundError):
                    obstore.delete(self.lake.store, f"{table}/{path}")
        except obstore.exceptions.BaseError as error:
            # Only a warning: the error for which the files are deleted must reach the caller.
            reason = describe_store_error(error, self.lake.options)
            _log.warning("%s: uncommitted files stay until the next vacuum: %s", table, reason)


def choose_row_group_size(request: Request, limits: WriteLimits) -> int:
    """Returns the rows of a row group: larger ones are cheaper where few files are open."""
    # Each open file buffers one, so their size bounds memory. Small ones cost a backfill of 365
    # days 0.3 s of its time.
    if not isinstance(request, ReplaceDays) or request.physical is None:
        return limits.smallest_row_group  # the number of open files is unknown
    rows = limits.buffered_rows // max(len(request.parts), 1)
    return min(max(rows, limits.smallest_row_group), limits.largest_row_group)


def _count_rows(files: Sequence[WrittenFile]) -> int:
    return sum(file.rows for file in files)
