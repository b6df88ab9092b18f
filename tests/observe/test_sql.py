"""A lake opened for SQL: what a connection sees of later commits, and what it does not load."""

from importlib.resources import files
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.observe.sql import open_sql
from lakehouse.storage.lake import Lake

TABLE = "marts/numbers"


@pytest.fixture
def lake(tmp_path) -> Lake:
    """A lake with one table of two rows."""
    lake = Lake(str(tmp_path / "lake"))
    write_deltalake(lake.uri(TABLE), pl.DataFrame({"n": [1, 2]}))
    return lake


def test_a_question_asked_again_sees_what_was_committed_meanwhile(lake):
    table, question = DeltaTable(lake.uri(TABLE)), "SELECT count(*), sum(n) FROM marts.numbers"
    with open_sql(lake) as connection:
        answers = [connection.execute(question).fetchone()]
        write_deltalake(table, pl.DataFrame({"n": [3]}), mode="append")
        answers.append(connection.execute(question).fetchone())
        table.delete("n = 1")
        answers.append(connection.execute(question).fetchone())
        table.restore(0)
        answers.append(connection.execute(question).fetchone())
    assert answers == [(2, 3), (3, 6), (2, 5), (2, 3)]


def test_an_open_lake_loads_no_further_extension(lake):
    folder = Path(str(files("duckdb_extension_httpfs"))) / "extensions" / f"v{duckdb.__version__}"
    with open_sql(lake) as connection, pytest.raises(duckdb.Error, match="disabled"):
        connection.execute(f"LOAD '{folder / 'httpfs.duckdb_extension'}'")
