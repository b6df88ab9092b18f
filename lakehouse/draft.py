"""One table's part in a publish: its files from the sink to the commit.

Belongs here: what goes into a table, the lazy writes, the Delta actions and the fence against a second writer.
Does not belong here: the verdict on the rows, and the order of commits (`publish.py`).
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any
from uuid import uuid4

import obstore
import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from lakehouse import slices
from lakehouse.commit import AFTERWARDS, MARK, committed, create
from lakehouse.duck import for_footers
from lakehouse.errors import BusyError, OutageError
from lakehouse.faults import reached
from lakehouse.gathering import gathered
from lakehouse.ground import grounds
from lakehouse.lake import Lake, application
from lakehouse.schemas import add_columns, delta_schema, is_another, missing_columns, same_partitioning
from lakehouse.sheet import Sheet
from lakehouse.statistics import statistics, with_count
from lakehouse.stores import said
from lakehouse.stragglers import Stragglers

_NO_DAY = "__HIVE_DEFAULT_PARTITION__"
_ROWS_PER_FILE = 5_000_000
_log = logging.getLogger(__name__)


class Draft:
    """One table's part in a publish: its files while they are not yet committed."""

    def __init__(self, lake: Lake, sheet: Sheet) -> None:
        self.lake, self.sheet = lake, sheet
        self.handle = self._opened()
        self.schema = sheet.rows.collect_schema()
        self.wanted = delta_schema(self.schema, sheet.comments, sheet.partition)
        self.partition_by = [sheet.partition] if sheet.partition else []
        self.slice = None if self.handle is None else gathered(lake, sheet, self.handle, self._replaced(self.handle))
        self.new: list[Any] = []
        self.moved: list[Any] = []
        self.placed: list[str] = []
        self.stragglers: list[tuple[Stragglers, list[Any]]] = []
        self.committed = False
        self.is_doubtful = False

    def _opened(self) -> DeltaTable | None:
        if self.sheet.based_on is None:
            return self.lake.look(self.sheet.table)
        return self.lake.look(self.sheet.table, self.sheet.based_on) if self.sheet.based_on >= 0 else None

    def _replaced(self, handle: DeltaTable) -> slices.Slice | None:
        sheet = self.sheet
        if sheet.retyped:
            return slices.retyped(self.lake, sheet, handle, self.schema)
        if sheet.split_by and sheet.corrections:
            return slices.corrected(self.lake, sheet.table, handle, sheet.split_by, sheet.corrections)
        if sheet.mode == "append":
            return None
        if sheet.keys is not None:
            return slices.of_keys(self.lake, sheet.table, handle, sheet.keys)
        if sheet.days is None or sheet.window is None:
            return slices.whole(handle)
        return slices.of_days(self.lake, sheet.table, handle, sheet.window, sheet.days)

    @property
    def is_whole(self) -> bool:
        """Whether no row that stands in the table will stand there afterwards."""
        if self.handle is None or self.slice is None or (self.slice.kept and not self.sheet.retyped):
            return self.handle is None
        return self.slice.removed.height == len(self.handle.file_uris())

    @property
    def changes_columns(self) -> bool:
        """Whether the table gets the columns of the new rows in the same commit that takes its own rows away."""
        return self.handle is not None and self.is_whole and is_another(self.handle.schema(), self.wanted)

    def prove(self) -> None:
        """Refuse, before anything is written, rows that do not fit to those that stay.

        Raises:
            SetupError: the table is partitioned otherwise, or its columns changed and some of its rows would stay; or
                two writers of this bucket would lose commits.
        """
        self.lake.prove_writable()
        if self.handle is None:
            return
        same_partitioning(self.handle, self.sheet, self.partition_by)
        if not self.is_whole:
            missing_columns(self.handle, self.sheet, self.wanted)

    def sink(self) -> pl.LazyFrame:
        """The lazy write of the new rows."""
        return self._sink(self.sheet.rows, self.new)

    def lost(self) -> pl.LazyFrame | None:
        """How many rows of the files that go are replaced; None where all are."""
        return None if self.slice is None else self.slice.lost

    def carry(self) -> None:
        """Write the rows that stay but have to move, a few files at a time, and what the writes left over."""
        for rows in self.slice.kept if self.slice is not None else ():
            self._sink(rows, self.moved).collect(engine="streaming")
        for one, done in self.stragglers:
            left = one.left_over()
            if left is not None:
                self._write_lazily(left.lazy(), done).collect(engine="streaming")

    def _sink(self, rows: pl.LazyFrame, done: list[Any]) -> pl.LazyFrame:
        if self.sheet.partition:
            stragglers = Stragglers(self.sheet.partition)
            self.stragglers.append((stragglers, done))
            rows = stragglers.removed_from(self.sheet.parted(rows))
        return self._write_lazily(rows, done)

    def _write_lazily(self, rows: pl.LazyFrame, done: list[Any]) -> pl.LazyFrame:
        partition, sheet = self.sheet.partition, self.sheet
        key = partition or (sheet.split_by if done is self.new else None)

        def place(file: Any) -> str:  # noqa: ANN401
            folder = f"{partition}={_text(file.partition_keys[partition][0]) or _NO_DAY}/" if partition else ""
            path = f"{folder}{uuid4()}.parquet"
            reached("draft: file begun")
            self.placed.append(path)  # several threads ask at once, so the last one need not be this one
            return path

        by_key: dict[str, Any] = (
            {"key": key, "include_key": not partition} if key else {"max_rows_per_file": _ROWS_PER_FILE}
        )
        sink = rows.sink_parquet(
            pl.PartitionBy(self.lake.uri(sheet.table), file_path_provider=place, **by_key),
            compression_level=1,
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
            paths, hive_partitioning=False, glob=False, storage_options=dict(self.lake.options) or None
        )

    def check_carried(self, lost: int) -> None:
        """Law 5: every row outside the replaced days is still there; see `slices.check_carried`."""
        slices.check_carried(self.sheet.table, self.slice, sum(file.num_rows for file in self.moved), lost)

    def discard(self) -> None:
        """Take away every file that is not the table by now.

        A pass that broke off reports no file; what its threads still write after this is an orphan for vacuum.
        """
        if self.is_doubtful and not self.committed:
            return  # the commit was broken off and may stand: its files must, and orphans are for vacuum
        kept = {self._relative(file.path) for file in self._full()} if self.committed else set()
        try:
            for path in set(self.placed) - kept:
                with suppress(FileNotFoundError):
                    obstore.delete(self.lake.store, f"{self.sheet.table}/{path}")
        except obstore.exceptions.BaseError as error:
            _log.warning("%s: files of no commit stay for vacuum: %s", self.sheet.table, said(error, self.lake.options))

    def _full(self) -> list[Any]:
        """The files that hold rows."""
        return [file for file in (*self.new, *self.moved) if file.num_rows]

    def _relative(self, path: str) -> str:
        return path.replace("\\", "/").rsplit(f"{self.sheet.table}/", 1)[1]

    def commit(self, metadata: Mapping[str, Any]) -> int:
        """Make the files the table, in one atomic commit; gives the new version."""
        handle, mark = self.handle, uuid4().hex
        # One try: a creation would become a second version, other columns come over rows without them; and `ground.py`.
        tries = 0 if handle is None or self.changes_columns or self._removes else None
        properties = CommitProperties({**metadata, MARK: mark}, tries, self._fences())
        reached("draft: before commit")
        based_on = -1 if handle is None else handle.version()
        try:
            version = committed(self.lake, self.sheet.table, based_on, properties, lambda: self._commit(properties))
        except BusyError as error:
            self.is_doubtful = self.is_doubtful and isinstance(error, OutageError)
            raise
        self.committed = True
        return version

    @property
    def _removes(self) -> bool:
        return self.slice is not None and self.slice.removed.height > 0

    def _commit(self, properties: CommitProperties) -> None:
        if self.handle is None:
            self._create(properties)
        elif self._removes and not (self._is_all or self.changes_columns):
            self._commit_later(self.handle, properties)
        else:
            self._prove_undisturbed(self.handle)
            self._commit_on(self.handle, properties)

    def _create(self, properties: CommitProperties) -> None:
        added = self._added()
        self.is_doubtful = True
        create(self.lake, self.sheet, self.wanted, added, properties)

    def _commit_later(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """The commit on top of the latest version, as long as nothing changed there that it relies on."""
        removed = self.slice.removed["path"] if self.slice is not None else ()
        for ground in grounds(self.lake, self.sheet.table, handle, removed, self._fences()):
            with suppress(CommitFailedError):
                self._commit_on(ground, properties)
                return

    def _commit_on(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """The commit on top of a table; one that leaves no row of it takes the columns of the new rows in the same."""
        actions: list[AddAction | RemoveAction] = [*self._added()]
        mode, schema = "append", handle.schema()
        if self.changes_columns:
            mode, schema = "overwrite", self.wanted
        else:
            actions += self._removed()
            if missing := missing_columns(handle, self.sheet, self.wanted):
                handle = self.lake.open(self.sheet.table, handle.version()) or handle
                add_columns(handle, self.sheet.table, missing)
                reached("draft: columns added")
                schema = handle.schema()
        self.is_doubtful = True
        told: dict[str, Any] = {"commit_properties": properties, "post_commithook_properties": AFTERWARDS}
        handle.create_write_transaction(actions, mode, schema, self.partition_by or None, **told)

    @property
    def _is_all(self) -> bool:
        is_part = self.sheet.days is not None or (self.sheet.corrections and not self.sheet.retyped)
        return self.slice is not None and not is_part and not self.slice.is_moved

    def _prove_undisturbed(self, handle: DeltaTable) -> None:
        """Refuse to go on when the table changed while all of it was replaced."""
        if self._is_all and self.lake.version(self.sheet.table) != handle.version():
            raise BusyError(f"{self.sheet.table}: another writer committed first.\nNext: run again.")

    def _fences(self) -> list[Transaction]:
        """Application transactions that make two writers of the same place collide, even where it was empty."""
        version = (self.handle.version() if self.handle else -1) + 1
        fences = [Transaction(application(self.sheet.table, place), version) for place in sorted(self.sheet.places)]
        return fences + [Transaction(application(self.sheet.table, name), n) for name, n in self.sheet.marks.items()]

    def _added(self) -> list[AddAction]:
        files = self._full()
        with for_footers(self.lake.options, remote=not self.lake.is_local) as connection:
            found = statistics(connection, [file.path for file in files], dict(self.schema), self.sheet.hidden)
        return [self._add(file, found[file.path]) for file in files]

    def _add(self, file: Any, stats: str) -> AddAction:  # noqa: ANN401
        path, now = self._relative(file.path), int(time.time() * 1000)
        is_change = not (self.slice is not None and self.slice.is_moved and file in self.moved)
        named = dict(part.split("=", 1) for part in path.split("/")[:-1])
        values = {name: None if value == _NO_DAY else value for name, value in named.items()}
        return AddAction(path, file.num_bytes, values, now, is_change, with_count(stats, file.num_rows))

    def _removed(self) -> list[RemoveAction]:
        if self.slice is None:
            return []
        now, partition = int(time.time() * 1000), self.sheet.partition
        return [
            RemoveAction(
                row["path"],
                not self.slice.is_moved,
                now,
                row["size_bytes"],
                {partition: _text(row[f"partition.{partition}"])} if partition else {},
            )
            for row in self.slice.removed.iter_rows(named=True)
        ]

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit."""
        return any(file.num_rows for file in self.new) or (self.slice is not None and self.slice.removed.height > 0)


def _text(value: date | None) -> str | None:
    """A partition value as the log writes it; a row of another writer may have none."""
    return None if value is None else str(value)
