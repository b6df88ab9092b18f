"""The commit of one write: the version that it is based on, and what becomes of its files.

Belongs here: the one atomic commit, and the fence against other writers of the same rows. Does not
belong here: the order of the commits of several tables (`publish.py`), and whether a commit without
an answer is in the log (`commit.py`).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.errors import BusyError, OutageError
from lakehouse.failpoints import failpoint
from lakehouse.publish.commit import (
    COMMIT_ID,
    POST_COMMIT_HOOKS,
    commit_once,
    create_table,
    shorten_log,
)
from lakehouse.publish.conflicts import check_undisturbed, iterate_base_versions
from lakehouse.publish.file_writer import FileWriter
from lakehouse.publish.request import Append
from lakehouse.publish.schema_evolution import add_columns, find_missing_columns
from lakehouse.publish.write_plan import WritePlan
from lakehouse.storage.lake import Lake, name_transaction
from lakehouse.storage.revision import read_revision


class TableCommit:
    """The commit that makes the files of a write part of its table.

    Attributes:
        plan: what the write does.
        files: its files.
        is_exclusive: whether no other commit may come between the version that was read and this
            one.
    """

    def __init__(self, lake: Lake, plan: WritePlan, *, is_exclusive: bool = False) -> None:
        self.lake, self.plan = lake, plan
        self.is_exclusive = is_exclusive or plan.is_exclusive
        self.files = FileWriter(lake, plan)
        self._is_committed = False
        self._may_be_committed = False

    def commit(self, metadata: Mapping[str, Any]) -> int:
        """Commits the files; returns the new version of the table.

        Raises:
            BusyError: another writer changed what this commit relies on; nothing was committed.
            OutageError: the store did not answer, and the commit may be in the table.
        """
        handle, table = self.plan.handle, self.plan.table
        metadata = {**metadata, **self.files.describe_moves(), COMMIT_ID: uuid4().hex}
        properties = CommitProperties(metadata, self._retries, self._transactions())
        failpoint("commit: before commit")
        base = None if handle is None else read_revision(handle)
        try:
            version = commit_once(
                self.lake, table, base, properties, lambda: self._attempt(properties)
            )
        except BusyError as error:
            # Any other refusal has read the log, and found no commit of this writer in it.
            self._may_be_committed = self._may_be_committed and isinstance(error, OutageError)
            raise
        self._is_committed = True
        # Last, so that an archive that fails cannot make `discard` delete committed files.
        shorten_log(self.lake, table, version)
        return version

    def discard(self) -> None:
        """Deletes every file that is not part of the table.

        A commit that broke off without an answer may be in the table, and then its files must stay:
        what is left over is an orphan for vacuum.
        """
        if self._is_committed:
            self.files.delete_files(keep=self.files.files)
        elif not self._may_be_committed:
            self.files.delete_files()

    @property
    def _retries(self) -> int | None:
        """How often delta-rs may move the commit on top of other commits; None for its default.

        Not at all where it would create the table a second time, put new columns over rows without
        them, or remove files that another writer removed, see `conflicts.py`.
        """
        is_unsafe = (
            self.plan.handle is None
            or self.is_exclusive
            or self.plan.changes_columns
            or self.files.removes_files
        )
        return 0 if is_unsafe else None

    def _transactions(self) -> list[Transaction]:
        """Returns the transactions that make two writers of a part collide, even an empty one."""
        request, handle = self.plan.request, self.plan.handle
        # Two writers that fill an empty partition remove no file in common, so delta-rs sees no
        # conflict. It does see that the number of an application id has changed.
        next_version = 0 if handle is None else handle.version() + 1
        numbers = dict.fromkeys(sorted(request.parts), next_version)
        if isinstance(request, Append):
            numbers |= request.transaction_ids
        return [
            Transaction(name_transaction(request.table, name), number)
            for name, number in numbers.items()
        ]

    def _attempt(self, properties: CommitProperties) -> None:
        handle = self.plan.handle
        if handle is None:
            self._create(properties)
        elif self.is_exclusive or self.plan.changes_columns or not self.files.removes_files:
            check_undisturbed(self.lake, self.plan.table, handle, is_exclusive=self.is_exclusive)
            self._commit_on(handle, properties)
        else:
            self._commit_on_latest(handle, properties)

    def _create(self, properties: CommitProperties) -> None:
        actions = self.files.make_add_actions()
        # From here on the commit may be in the log, though no answer says so.
        self._may_be_committed = True
        create_table(self.lake, self.plan, actions, properties)

    def _commit_on_latest(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """Commits on the latest version, if nothing changed there that the commit relies on."""
        # Looked at once; the files of the plan do not change with the base.
        removed = self.files.list_removed_paths()
        for base in iterate_base_versions(
            self.lake, self.plan.table, handle, removed, self._transactions()
        ):
            # Another writer won the race for this version: look at the next one.
            with suppress(CommitFailedError):
                self._commit_on(base, properties)
                return

    def _commit_on(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """Commits on a version; the commit also changes the columns where no row stays."""
        actions: list[AddAction | RemoveAction] = [*self.files.make_add_actions()]
        mode, schema = "append", handle.schema()
        if self.plan.changes_columns:
            # An overwrite removes all files by itself. delta-rs takes new columns in no other mode.
            mode, schema = "overwrite", self.plan.schema
        else:
            actions += self.files.make_remove_actions()
            if missing := find_missing_columns(handle, self.plan.request, self.plan.schema):
                # An append takes no new columns, so they come in a commit before it. A kill in
                # between leaves columns that are null everywhere, which the next run fills.
                # A handle of its own: the shared one must not move to another version.
                handle = self.lake.open(self.plan.table, handle.version()) or handle
                add_columns(handle, self.plan.table, missing)
                failpoint("commit: columns added")
                schema = handle.schema()
        self._may_be_committed = True
        column = self.plan.partition_column
        handle.create_write_transaction(
            actions,
            mode,
            schema,
            [column] if column else None,
            commit_properties=properties,
            post_commithook_properties=POST_COMMIT_HOOKS,
        )
