"""Parsing a query reads no file, contacts nobody and installs nothing, whatever the query says."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.errors import DataError, SetupError
from lakehouse.observe.sql import run_query
from lakehouse.storage.duckdb_connection import connect, connect_closed
from lakehouse.storage.lake import Lake
from lakehouse.storage.sql_guard import parse_read
from lakehouse.tables.sql_types import infer_query_schema

HUSH = "hush-hush"
NOT_ONE_READ = "`lakehouse sql` runs one read-only statement.\nNext: write a single SELECT."
EXPANDED = [
    *("IMPORT DATABASE '@'", "import database '@';", "/* x */ IMPORT\nDATABASE '@' -- y"),
    *(
        "PRAGMA import_database('@')",
        "SELECT 1; IMPORT DATABASE '@'",
        "IMPORT DATABASE '@'; FROM x",
    ),
]
STATEMENTS = [
    *EXPANDED,
    *("EXPLAIN IMPORT DATABASE '@'", "EXPLAIN ANALYZE PRAGMA import_database('@')"),
    *("PREPARE p AS IMPORT DATABASE '@'", "CALL import_database('@')", "EXPORT DATABASE '@'"),
    *("ATTACH '@'", "ATTACH '@' AS x (READ_ONLY)", "DETACH '@'", "USE '@'", "LOAD '@'"),
    *(
        "INSTALL '@'",
        "FORCE INSTALL httpfs FROM '@'",
        "INSTALL x FROM community",
        "UPDATE EXTENSIONS",
    ),
    *(
        "COPY x FROM '@'",
        "COPY (FROM x) TO '@'",
        "COPY FROM DATABASE '@' TO x",
        "CALL read_text('@')",
    ),
    *(
        "CREATE TABLE x AS FROM '@'",
        "CREATE VIEW x AS FROM read_text('@')",
        "SHOW '@'",
        "VACUUM '@'",
    ),
    *(
        "CREATE MACRO f() AS TABLE FROM '@'",
        "CREATE SECRET (TYPE s3, ENDPOINT '@')",
        "SUMMARIZE '@'",
    ),
    *("INSERT INTO x FROM '@'", "DELETE FROM '@'", "UPDATE x SET y = (FROM '@')", "DESCRIBE '@'"),
    *(
        "MERGE INTO x USING '@' ON true WHEN MATCHED THEN DELETE",
        "EXECUTE p('@')",
        "SET threads = '@'",
    ),
    *("SET VARIABLE x = (FROM '@')", "COMMENT ON TABLE x IS '@'", "ANALYZE '@'", "CHECKPOINT '@'"),
    *(
        "ALTER TABLE x ADD COLUMN y INT DEFAULT '@'",
        "DROP TABLE '@'",
        "PIVOT '@' ON x USING sum(y)",
    ),
    *("CREATE TYPE e AS ENUM (FROM '@')", "FROM '@'", "FROM read_text('@')", "SELECT error('@')"),
]


def list_pragmas() -> list[str]:
    """Each pragma and setting, in every form that DuckDB knows."""
    with connect(remote=True) as connection:
        asked = (
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'pragma'"
        )
        names = connection.execute(f"{asked} UNION SELECT name FROM duckdb_settings()").fetchall()
    forms = ("PRAGMA {}", "PRAGMA {}('@')", "PRAGMA {}('@', '@')", "PRAGMA {} = '@'")
    return [form.format(name) for (name,), form in itertools.product(names, forms)]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty home, beside a folder that IMPORT could read; nothing may be made in it."""
    (folder := tmp_path / "here").mkdir()
    for name in ("schema.sql", "load.sql"):
        (folder / name).write_text(f"{HUSH};")
    (home := tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(home))
    yield home
    assert list(home.iterdir()) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "home"]


@pytest.fixture
def address() -> Iterator[str]:
    """An address where somebody listens, and nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(BlockingIOError):
            listener.accept()


def told(query: str, place: str) -> str:
    """What the guard says of a query, without the place that the query names."""
    try:
        answer = str(parse_read(query.replace("@", place)) is None)
    except duckdb.Error as error:
        # Without the part of the query that DuckDB quotes, which ends in the middle of a place.
        answer = f"{type(error).__name__} {error}".partition("\n\nLINE ")[0]
    return answer.replace(place, "@")


def test_parsing_reads_and_contacts_nothing(home, address):
    queries = STATEMENTS + list_pragmas()
    assert len(queries) > 500
    places = (f"{home.parent}/here", f"{home.parent}/none", address, address.replace("http", "s3"))
    answers = {query: {told(query, place) for place in places} for query in queries}
    assert {query: found for query, found in answers.items() if len(found) > 1} == {}
    assert [found for found in answers.values() if HUSH in str(found)] == []
    # An error of any other kind would come from something that DuckDB tried to do.
    kinds = {answer.split(" ")[0] for found in answers.values() for answer in found}
    assert kinds == {"True", "False", "ParserException"}


@pytest.mark.parametrize("query", EXPANDED)
@pytest.mark.parametrize("place", ["{folder}/here", "{folder}/none", "{address}", "s3://bucket/x"])
def test_what_duckdb_expands_while_it_parses_is_refused_by_our_own_message(
    home, address, query, place
):
    text = query.replace("@", place.format(folder=home.parent, address=address))
    with pytest.raises(SetupError) as refused:
        run_query(Lake(str(home.parent / "lake")), text)
    assert str(refused.value) == NOT_ONE_READ
    with pytest.raises(SetupError, match=r"^the query is not one SELECT; write one SELECT"):
        infer_query_schema(text, {"x": pl.Schema({"n": pl.Int64()})})


@pytest.mark.parametrize(
    "query", ["FROM '@/schema.sql'", "LOAD '@'", "INSTALL httpfs", "ATTACH '@'"]
)
def test_a_closed_duckdb_reaches_nothing_and_stays_closed(home, query):
    with connect_closed() as connection:
        with pytest.raises(duckdb.Error) as refused:
            connection.execute(query.replace("@", f"{home.parent}/here"))
        with pytest.raises(duckdb.Error, match=r"locked|Cannot"):
            connection.execute("SET enable_external_access = true")
    assert HUSH not in str(refused.value)


def test_a_variable_of_python_is_no_table(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    write_deltalake(lake.uri("marts/numbers"), pl.DataFrame({"n": [1]}))
    hidden = duckdb.sql(f"SELECT '{HUSH}' AS x")
    with pytest.raises(DataError, match="Table with name hidden does not exist"):
        run_query(lake, "FROM marts.hidden")
    assert hidden.fetchall() == [(HUSH,)]
