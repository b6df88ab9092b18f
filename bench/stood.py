"""The orders that each way has written, so that only equal results are compared; and deliveries.

Belongs here: reading the results, and passing files and folders to the ways. Does not belong here:
the ways.
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
    """Returns the number of rows of a Delta table, and the order-free sum of their hashes."""
    rows = f"read_parquet({DeltaTable(str(table)).file_uris()}) WHERE {where}"
    return _count_and_hash(duckdb.connect(), rows, columns)


def in_duckdb(file: Path, table: str, columns: str) -> Hashable:
    """Returns the same for a table in a DuckDB file, or for a query in parentheses."""
    return _count_and_hash(duckdb.connect(str(file), read_only=True), table, columns)


def _count_and_hash(connection: duckdb.DuckDBPyConnection, rows: str, columns: str) -> Hashable:
    with connection:
        return connection.sql(
            f"SELECT count(*), sum(hash({columns})::hugeint) FROM {rows}"
        ).fetchone()


def number_of(step: str) -> int:
    """Returns the number at the start of a step's name."""
    return int(step.split(maxsplit=1)[0].replace(",", ""))


def arrived_in(folder: Path) -> Path:
    """Returns the path at which a delivery arrives in a folder."""
    return folder / "arrived.parquet"


def hand_on(file: Path, folder: Path) -> None:
    """Makes a file arrive in a folder."""
    arrived = arrived_in(folder)
    arrived.unlink(missing_ok=True)
    arrived.symlink_to(file.resolve())


def clone(folder: Path, target: Path) -> None:
    """Copies a folder with its dates; data files and commits, which never change, are linked."""

    def share(source: str, copy: str) -> None:
        is_commit = Path(source).parent.name == "_delta_log" and source.endswith(".json")
        (os.link if is_commit or source.endswith((".parquet", ".csv")) else shutil.copy2)(
            source, copy
        )

    shutil.copytree(folder, target, copy_function=share, dirs_exist_ok=True)
