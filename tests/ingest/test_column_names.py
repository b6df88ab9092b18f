"""Names of any kind on their way into a table: aliases, SQL, and files in any order."""

import json
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from support.worlds import NOW, catalog_of, world, write

from lakehouse.environment import Environment
from lakehouse.ingest.land import LandResult, land
from lakehouse.observe.sql import run_query
from lakehouse.tables.declaration_checks import find_raw_problems
from lakehouse.tables.declare import raw

ODD = [
    "select", "order", "Order Id", "a,b", "a.b", "a[0]", "a;b{}()=", "a\tb", 'say "x"', "it's", "`x`",
    "DateUTC<br />", "100%", "a/b", "größe", "数量", "😀", "-1", "filename", "file_row_number", "rowid",
    "x" * 300, "\\n", "${x}", "null", "true", "_id", "__index_level_0__", "*", "", "^a$",
]  # fmt: skip


def declare(folder: Path, columns: object = ("id", "oid"), **declared: object) -> Environment:
    declared.setdefault("optional", tuple(columns))
    return world(folder, catalog_of(t=raw("t", "A table.", columns=columns, **declared)))


def land_now(here: Environment) -> LandResult:
    return land(here.lake, here.landing, here.catalog["raw/t"], now=NOW)


def rows(here: Environment, *columns: str) -> list[tuple[object, ...]]:
    lf = here.lake.scan("raw/t").sort("_source", "_offset")
    return lf.select(*columns).collect().rows()


def test_an_alias_may_name_what_the_file_has_or_what_it_lands_as(tmp_path):
    for number, aliases in enumerate([{"_id": "oid"}, {"source_id": "oid"}]):
        here = declare(tmp_path / str(number), aliases=aliases)
        write(here, "t", "a.csv", "_id,id\nx,1\n")
        write(here, "t", "b.jsonl", '{"_ID": "y", "id": 2}\n')
        pl.DataFrame({"id": [3], "_id": ["z"]}).write_parquet(write(here, "t", "c.parquet", b""))
        assert land_now(here).refused == ()
        assert rows(here, "id", "oid") == [("1", "x"), ("2", "y"), ("3", "z")]


def test_an_alias_finds_its_name_where_another_column_has_the_number(tmp_path):
    here = declare(tmp_path, aliases={"_id": "oid"})
    write(here, "t", "a.csv", "_id,source_id\nx,1\n")
    land_now(here)
    assert rows(here, "oid", "source_id") == [("x", "1")]


def test_the_second_of_two_equal_names_can_be_declared_or_have_an_alias(tmp_path):
    here = declare(tmp_path, columns=("t", "T_2", "read_at"), aliases={"t_3": "read_at"})
    write(here, "t", "a.csv", "t,t,t\n1,2,3\n")
    land_now(here)
    assert rows(here, "t", "T_2", "read_at") == [("1", "2", "3")]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_columns_of_any_name_land_and_can_be_queried(tmp_path, suffix):
    here = declare(tmp_path)
    frame = pl.DataFrame({"id": ["1"], **{name: [str(n)] for n, name in enumerate(ODD)}})
    path = write(here, "t", f"a.{suffix}", b"")
    writers = {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}
    writers[suffix](path)
    write(here, "t", "b.csv", "id\n2\n")
    assert land_now(here).refused == ()
    names = here.lake.scan("raw/t").collect_schema().names()[2 : len(ODD) + 2]
    assert rows(here, *names)[0] == tuple(str(n) for n in range(len(ODD)))
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    found = run_query(here.lake, f"SELECT {quoted} FROM raw.t WHERE id = '1'")[1]
    assert [tuple(row) for row in found] == [tuple(str(n) for n in range(len(ODD)))]


def test_files_with_changed_names_give_the_same_table_in_any_order(tmp_path):
    files = {
        "a.csv": "_id,source_id,t\n1,2,3\n",
        "b.csv": "_id,t,T,t_2\n4,5,6,7\n",
        "c.jsonl": json.dumps({"_id": 8, "T": 9}) + "\n",
        "d.jsonl": json.dumps({"source_id": 10, "_id": 11, "t": 12, "T": 13}) + "\n",
    }
    seen = set()
    for number, order in enumerate(permutations(files)):
        here = declare(tmp_path / str(number), columns=("t", "t_2"))
        for name in order:
            write(here, "t", name, files[name])
            if number % 2:
                land_now(here)
        land_now(here)
        names = sorted(here.lake.scan("raw/t").collect_schema().names())
        seen.add((tuple(names), str(rows(here, *(n for n in names if n[0] != "_")))))
    assert len(seen) == 1


def test_a_delivery_tells_its_changed_names(tmp_path):
    here = declare(tmp_path)
    write(here, "t", "a.csv", "_id,id\nx,1\n")
    [audit] = land_now(here).audits
    assert "a.csv: columns under other names: _id as source_id" in audit.notes


def test_a_declared_column_of_the_engine_is_refused_with_the_name_that_lands():
    table = raw("t", "A table.", columns=("_id",))
    [problem] = find_raw_problems(table)
    assert problem.endswith("'_id' of a file lands as 'source_id'")
