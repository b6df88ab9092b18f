"""One table's part in a publish: its files from the sink to the commit.

Belongs here: what goes into a table, the lazy writes, the Delta actions and the fence against a second writer.
Does not belong here: the verdict on the rows, and the order of commits (`publish.py`).
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import obstore
import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.errors import BusyError, OutageError
from lakehouse.failpoints import failpoint
from lakehouse.publish import replacement
from lakehouse.publish.auto_compaction import Compaction, plan_compaction
from lakehouse.publish.coalesce_batches import BatchCoalescer
from lakehouse.publish.commit import (
    COMMIT_ID,
    POST_COMMIT_HOOKS,
    commit_once,
    create_table,
    shorten_log,
)
from lakehouse.publish.conflicts import iterate_base_versions
from lakehouse.publish.file_actions import (
    NULL_PARTITION,
    format_partition,
    make_add_actions,
    make_relative,
    make_remove_actions,
)
from lakehouse.publish.request import Sheet
from lakehouse.publish.schema_evolution import (
    add_columns,
    check_partitioning,
    find_missing_columns,
    has_other_columns,
)
from lakehouse.storage.delta_types import to_delta_schema
from lakehouse.storage.lake import Lake, name_transaction
from lakehouse.storage.log import MOVED
from lakehouse.storage.object_store import describe_store_error
from lakehouse.storage.revision import Revision, read_revision

_ROWS_PER_FILE = 5_000_000
_log = logging.getLogger(__name__)


class Draft:
    """One table's part in a publish: its files while they are not yet committed.

    Attributes:
        is_optional: whether nothing is committed where the sheet turns out to change nothing.
    """

    def __init__(self, lake: Lake, sheet: Sheet, *, is_optional: bool = False) -> None:
        self.lake, self.sheet, self.is_optional = lake, sheet, is_optional
        self.handle = self._opened()
        self.schema = sheet.rows.collect_schema()
        self.wanted = to_delta_schema(self.schema, sheet.comments, sheet.partition)
        self.partition_by = [sheet.partition] if sheet.partition else []
        self.slice = None if self.handle is None else self._replaced(self.handle)
        self.gathered: Compaction | None = None
        self.new: list[Any] = []
        self.moved: list[Any] = []
        self.gathers: list[Any] = []
        self.placed: list[str] = []
        self.committed = False
        self.is_doubtful = False

    def _opened(self) -> DeltaTable | None:
        base = self.sheet.base
        if base is None:
            return None
        version = base.version if isinstance(base, Revision) else None
        return self.lake.open_shared(self.sheet.table, version)

    def _replaced(self, handle: DeltaTable) -> replacement.Replacement | None:
        sheet = self.sheet
        if sheet.retyped:
            return replacement.plan_retyping(self.lake, sheet, handle, self.schema)
        if sheet.corrections:
            return replacement.plan_correction(self.lake, sheet.table, handle, sheet.corrections)
        if sheet.mode == "append":
            return None
        if sheet.keys is not None:
            return replacement.plan_key_replacement(self.lake, sheet.table, handle, sheet.keys)
        if sheet.days is None or sheet.window is None:
            return replacement.plan_full_replacement(handle)
        return replacement.plan_day_replacement(
            self.lake, sheet.table, handle, sheet.window, sheet.days
        )

    @property
    def is_whole(self) -> bool:
        """Whether no row that stands in the table will stand there afterwards."""
        if (
            self.handle is None
            or self.slice is None
            or (self.slice.kept and not self.sheet.retyped)
        ):
            return self.handle is None
        return self.slice.removed.height == len(self.handle.file_uris())

    @property
    def changes_columns(self) -> bool:
        """Whether the table gets the columns of the new rows in the same commit that takes its own rows away."""
        return (
            self.handle is not None
            and self.is_whole
            and has_other_columns(self.handle.schema(), self.wanted)
        )

    def prove(self) -> None:
        """Refuse, before anything is written, rows that do not fit to those that stay.

        Raises:
            SetupError: the table is partitioned otherwise, or its columns changed and some of its rows would stay; or
                two writers of this bucket would lose commits.
        """
        self.lake.check_writable()
        if self.handle is None:
            return
        check_partitioning(self.handle, self.sheet, self.partition_by)
        if not self.is_whole:
            find_missing_columns(self.handle, self.sheet, self.wanted)

    def sink(self) -> pl.LazyFrame:
        """The lazy write of the new rows."""
        return self._sink(self.sheet.rows, self.new)

    def lost(self) -> pl.LazyFrame | None:
        """How many rows of the files that go are replaced; None where all are."""
        return None if self.slice is None else self.slice.lost

    def carry(self) -> None:
        """Write the rows that stay but have to move, a few files at a time."""
        if self.handle is not None and (self.changes or not self.is_optional):
            self.gathered = plan_compaction(self.lake, self.sheet, self.handle, self.slice)
        for rows in self.slice.kept if self.slice is not None else ():
            self._sink(rows, self.moved).collect(engine="streaming")
        for rows in self.gathered.rows if self.gathered is not None else ():
            self._sink(rows, self.gathers).collect(engine="streaming")
        if self.gathered is not None:
            self.gathered.check(self.sheet.table, sum(file.num_rows for file in self.gathers))

    def _sink(self, rows: pl.LazyFrame, done: list[Any]) -> pl.LazyFrame:
        if self.sheet.partition:
            rows = BatchCoalescer(self.sheet.partition).of(self.sheet.parted(rows))
        return self._write_lazily(rows, done)

    def _write_lazily(self, rows: pl.LazyFrame, done: list[Any]) -> pl.LazyFrame:
        partition, sheet = self.sheet.partition, self.sheet
        key = partition if partition or done is not self.new else sheet.split_by

        def place(file: Any) -> str:  # noqa: ANN401
            folder = (
                f"{partition}={format_partition(file.partition_keys[partition][0]) or NULL_PARTITION}/"
                if partition
                else ""
            )
            path = f"{folder}{uuid4()}.parquet"
            failpoint("draft: file begun")
            self.placed.append(
                path
            )  # several threads ask at once, so the last one need not be this one
            return path

        by_key: dict[str, Any] = {"max_rows_per_file": _ROWS_PER_FILE}
        if key is not None:
            by_key = {"key": key, "include_key": isinstance(key, str) and not partition}
        sink = rows.sink_parquet(
            pl.PartitionBy(self.lake.uri(sheet.table), file_path_provider=place, **by_key),
            compression="snappy",
            row_group_size=sheet.rows_per_group,
            lazy=True,
            mkdir=self.lake.is_local,
            storage_options=dict(self.lake.options) or None,
            sinked_paths_callback=lambda sinked: done.extend(sinked.paths),
        )
        assert sink is not None  # noqa: S101
        return sink

    def written(self) -> pl.LazyFrame:
        """The new rows, read from their files."""
        paths = [file.path for file in self.new if file.num_rows]
        if not paths:
            return pl.LazyFrame(schema=self.schema)
        return pl.scan_parquet(
            paths,
            hive_partitioning=False,
            glob=False,
            storage_options=dict(self.lake.options) or None,
        )

    def check_carried(self, lost: int) -> None:
        """Law 5: every row outside the replaced days is still there; see `slices.check_carried`."""
        replacement.check_carried(
            self.sheet.table, self.slice, sum(file.num_rows for file in self.moved), lost
        )

    def discard(self) -> None:
        """Take away every file that is not the table by now.

        A pass that broke off reports no file; what its threads still write after this is an orphan for vacuum.
        """
        if self.is_doubtful and not self.committed:
            return  # the commit was broken off and may stand: its files must, and orphans are for vacuum
        kept = (
            {make_relative(self.sheet, file.path) for file in self._full()}
            if self.committed
            else set()
        )
        try:
            for path in set(self.placed) - kept:
                with suppress(FileNotFoundError):
                    obstore.delete(self.lake.store, f"{self.sheet.table}/{path}")
        except obstore.exceptions.BaseError as error:
            _log.warning(
                "%s: files of no commit stay for vacuum: %s",
                self.sheet.table,
                describe_store_error(error, self.lake.options),
            )

    @property
    def carried(self) -> list[Any]:
        """The files with rows that stood in others before."""
        return [*self.moved, *self.gathers]

    def _full(self) -> list[Any]:
        """The files that hold rows."""
        return [file for file in (*self.new, *self.carried) if file.num_rows]

    def commit(self, metadata: Mapping[str, Any]) -> int:
        """Make the files the table, in one atomic commit; gives the new version."""
        handle, mark = self.handle, uuid4().hex
        # One try: a creation would become a second version, other columns come over rows without them; and `ground.py`.
        tries = 0 if handle is None or self.changes_columns or self._removes else None
        properties = CommitProperties(
            {**metadata, **self._moved(), COMMIT_ID: mark}, tries, self._fences()
        )
        failpoint("draft: before commit")
        base = None if handle is None else read_revision(handle)
        try:
            version = commit_once(
                self.lake, self.sheet.table, base, properties, lambda: self._commit(properties)
            )
        except BusyError as error:
            self.is_doubtful = self.is_doubtful and isinstance(error, OutageError)
            raise
        self.committed = True
        shorten_log(self.lake, self.sheet.table, version)
        return version

    @property
    def _removes(self) -> bool:
        return self.gathered is not None or (
            self.slice is not None and self.slice.removed.height > 0
        )

    def _moved(self) -> dict[str, Any]:
        """What the commit says of files whose rows only moved; see `log.MOVED`."""
        if self.gathered is None:
            return {}
        paths = [make_relative(self.sheet, file.path) for file in self.gathers if file.num_rows]
        return {MOVED: {"added": paths, "removed": self.gathered.files["path"].to_list()}}

    def _commit(self, properties: CommitProperties) -> None:
        if self.handle is None:
            self._create(properties)
        elif self._removes and not (self._is_all or self.changes_columns):
            self._commit_later(self.handle, properties)
        else:
            self._prove_undisturbed(self.handle)
            self._commit_on(self.handle, properties)

    def _create(self, properties: CommitProperties) -> None:
        actions = make_add_actions(self.lake, self.sheet, self.schema, self._full())
        self.is_doubtful = True
        create_table(self.lake, self.sheet, self.wanted, actions, properties)

    def _commit_later(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """The commit on top of the latest version, as long as nothing changed there that it relies on."""
        going = [path for files in self._going() for path in files["path"]]
        for ground in iterate_base_versions(
            self.lake, self.sheet.table, handle, going, self._fences()
        ):
            with suppress(CommitFailedError):
                self._commit_on(ground, properties)
                return

    def _commit_on(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """The commit on top of a table; one that leaves no row of it takes the columns of the new rows in the same."""
        actions: list[AddAction | RemoveAction] = [
            *make_add_actions(self.lake, self.sheet, self.schema, self._full())
        ]
        mode, schema = "append", handle.schema()
        if self.changes_columns:
            mode, schema = "overwrite", self.wanted
        else:
            actions += [
                action
                for files in self._going()
                for action in make_remove_actions(self.sheet, files)
            ]
            if missing := find_missing_columns(handle, self.sheet, self.wanted):
                handle = self.lake.open(self.sheet.table, handle.version()) or handle
                add_columns(handle, self.sheet.table, missing)
                failpoint("draft: columns added")
                schema = handle.schema()
        self.is_doubtful = True
        told: dict[str, Any] = {
            "commit_properties": properties,
            "post_commithook_properties": POST_COMMIT_HOOKS,
        }
        handle.create_write_transaction(actions, mode, schema, self.partition_by or None, **told)

    @property
    def _is_all(self) -> bool:
        is_part = self.sheet.days is not None or (self.sheet.corrections and not self.sheet.retyped)
        return self.slice is not None and not is_part

    def _prove_undisturbed(self, handle: DeltaTable) -> None:
        """Refuse to go on when the table changed while all of it was replaced."""
        if self._is_all and self.lake.version(self.sheet.table) != handle.version():
            raise BusyError(
                f"{self.sheet.table}: another writer committed first.\nNext: run again."
            )

    def _fences(self) -> list[Transaction]:
        """Application transactions that make two writers of the same place collide, even where it was empty."""
        version = (self.handle.version() if self.handle else -1) + 1
        fences = [
            Transaction(name_transaction(self.sheet.table, place), version)
            for place in sorted(self.sheet.places)
        ]
        return fences + [
            Transaction(name_transaction(self.sheet.table, name), n)
            for name, n in self.sheet.marks.items()
        ]

    def _going(self) -> list[pl.DataFrame]:
        """The files that go: those that are replaced, and those whose rows are gathered."""
        replaced = [] if self.slice is None else [self.slice.removed]
        return replaced if self.gathered is None else [*replaced, self.gathered.files]

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit."""
        return any(file.num_rows for file in self.new) or (
            self.slice is not None and self.slice.removed.height > 0
        )
