"""The orders that each way has left, so that only equal results are compared; and deliveries.

Belongs here: reading what stands, files and folders that are handed on. Does not belong here: the
ways.
"""

import os
import shutil
from collections.abc import Hashable
from pathlib import Path

import duckdb
from deltalake import DeltaTable

ORDER = "order_id::bigint, changed_on::date, status, round(amount * 100)::bigint, remark"
VERSION = f"{ORDER}, valid_from::date, valid_to::date, is_current"


def in_delta(table: Path, columns: str, where: str = "true") -> Hashable:
    """The number of rows of a Delta table, and the sum of their hashes, in any order."""
    rows = f"read_parquet({DeltaTable(str(table)).file_uris()}) WHERE {where}"
    return _asked(duckdb.connect(), rows, columns)


def in_duckdb(file: Path, table: str, columns: str) -> Hashable:
    """The same of a table of a DuckDB file, or of a query in parentheses."""
    return _asked(duckdb.connect(str(file), read_only=True), table, columns)


def _asked(connection: duckdb.DuckDBPyConnection, rows: str, columns: str) -> Hashable:
    with connection:
        return connection.sql(
            f"SELECT count(*), sum(hash({columns})::hugeint) FROM {rows}"
        ).fetchone()


def number_of(step: str) -> int:
    """The number with which the name of a step begins."""
    return int(step.split(maxsplit=1)[0].replace(",", ""))


def arrived_in(folder: Path) -> Path:
    """Where a delivery arrives in a folder."""
    return folder / "arrived.parquet"


def hand_on(file: Path, folder: Path) -> None:
    """Let a file arrive in a folder."""
    arrived = arrived_in(folder)
    arrived.unlink(missing_ok=True)
    arrived.symlink_to(file.resolve())


def clone(folder: Path, target: Path) -> None:
    """Copies a folder with its dates; files that are written once, data and commits, are shared."""

    def shared(source: str, copy: str) -> None:
        is_commit = Path(source).parent.name == "_delta_log" and source.endswith(".json")
        (os.link if is_commit or source.endswith((".parquet", ".csv")) else shutil.copy2)(
            source, copy
        )

    shutil.copytree(folder, target, copy_function=shared, dirs_exist_ok=True)
