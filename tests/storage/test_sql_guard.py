"""What a query may do: every function, statement, pragma and setting that this DuckDB knows is tried."""

import http.server
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import write_deltalake
from support.sizes import full

from lakehouse.errors import SetupError
from lakehouse.observe.sql import open_sql, run_query
from lakehouse.storage.duckdb_connection import connect
from lakehouse.storage.lake import LAYERS, Lake
from lakehouse.storage.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from lakehouse.storage.sql_guard import ReadableTables, find_forbidden, parse_read

HUSH = "hush-hush"
OPEN = ReadableTables(frozenset(LAYERS))
REFUSED = {
    "writes": "write_blob write_log copy_dir delta_set_transaction_version truncate_duckdb_logs",
    "reads a file, a folder or an address": """
        glob parquet_bloom_probe parquet_file_metadata parquet_full_metadata parquet_kv_metadata
        parquet_metadata parquet_scan parquet_schema read_blob read_csv read_csv_auto read_duckdb
        read_json read_json_auto read_json_objects read_json_objects_auto read_ndjson
        read_ndjson_auto read_ndjson_objects read_parquet read_text sniff_csv delta_list_files
        delta_domain_metadata delta_get_transaction_version delta_scan""",
    "reads the memory of the process": "arrow_scan arrow_scan_dumb pandas_scan python_map_function seq_scan",
    "runs or plans a text as SQL, or takes a text for a table": """
        query query_table json_execute_serialized_sql json_serialize_plan json_serialize_sql
        json_deserialize_sql histogram histogram_values""",
    "shows settings, secrets, logs, addresses or people": """
        current_setting getvariable duckdb_settings duckdb_profiling_settings duckdb_secrets
        duckdb_secret_types which_secret duckdb_variables duckdb_logs duckdb_log_contexts
        duckdb_logs_parsed parse_duckdb_log_message duckdb_extensions duckdb_databases
        duckdb_external_file_cache duckdb_temporary_files duckdb_prepared_statements
        delta_filter_pushdown_log delta_filter_pushdown_log_tpcds parse_delta_filter_logline
        get_delta_test_expression inet_client_addr inet_client_port inet_server_addr
        inet_server_port current_user current_role session_user user""",
    "changes the process, or makes it wait": """
        checkpoint force_checkpoint enable_logging disable_logging enable_profiling
        disable_profiling nextval currval sleep_ms pg_sleep""",
    "is of use to DuckDB and its tests alone": """
        cast_to_type combine constant_or_null create_sort_key finalize make_type get_type
        can_cast_implicitly remap_struct replace_type stats vector_type timetz_byte_comparable
        variant_bytes_to_variant variant_normalize variant_to_parquet_variant test_all_types
        test_vector_types current_connection_id current_query_id current_transaction_id
        txid_current in_search_path get_block_size generate_subscripts map_to_pg_oid
        duckdb_approx_database_count duckdb_connection_count duckdb_constraints
        duckdb_coordinate_systems duckdb_dependencies duckdb_indexes duckdb_memory
        duckdb_optimizers duckdb_sequences duckdb_table_sample pragma_collations
        pragma_database_size pragma_metadata_info pragma_platform pragma_show pragma_storage_info
        pragma_table_info pragma_user_agent""",
    "is there for clients of Postgres": """
        pg_get_viewdef pg_get_expr pg_get_constraintdef pg_conf_load_time pg_postmaster_start_time
        pg_my_temp_schema pg_is_other_temp_schema pg_has_role col_description obj_description
        shobj_description format_pg_type format_type""",
}
INTERNAL = ("__internal_", "icu_collate_", "icu_sort_key", "has_")
IS_REFUSED = frozenset(" ".join(REFUSED.values()).split())


def is_internal(name: str) -> bool:
    return name.startswith(INTERNAL) or name.endswith("_is_visible")


@pytest.fixture(scope="module")
def known() -> set[tuple[str, str]]:
    """Each function of this DuckDB and its extensions, with its kind."""
    with connect(remote=True) as connection:
        asked = "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions()"
        return set(connection.execute(asked).fetchall())


def forbidden(query: str) -> list[str]:
    statement = parse_read(query)
    return ["it is no single read"] if statement is None else find_forbidden(statement, OPEN)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of two small tables, and a secret beside it."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "secret.csv").write_text(f"{HUSH}\n{HUSH}\n")
    df = pl.DataFrame({"n": [1, 2, 3], "kind": ["a", "b", "a"], "many": [[1, 2], [3], []]})
    lake = Lake(str(folder / "lake"))
    dated = df.with_columns(
        seen_at=pl.datetime(2024, 2, pl.col("n"), time_zone="UTC"),
        note=pl.lit('{"a": {"b": [1, 2]}}'),
        parts=pl.struct(x="n", y="kind"),
    )
    write_deltalake(lake.uri("marts/numbers"), dated)
    write_deltalake(lake.uri("staged/kinds"), pl.DataFrame({"kind": ["a", "b"], "rank": [1, 2]}))
    write_deltalake(folder / "elsewhere", pl.DataFrame({"x": [HUSH]}))
    return lake


def test_each_function_is_known_to_be_harmless_or_refused_for_a_reason(known):
    names = {name for name, kind in known if kind != "pragma" and not is_internal(name)}
    assert names - IS_REFUSED - FUNCTIONS - TABLE_FUNCTIONS == set()
    assert IS_REFUSED - names == set()
    assert (FUNCTIONS | TABLE_FUNCTIONS) - names == set()


def test_only_histogram_is_allowed_as_an_aggregate_and_refused_as_a_table():
    assert {"histogram"} == IS_REFUSED & (FUNCTIONS | TABLE_FUNCTIONS)
    assert "histogram" not in TABLE_FUNCTIONS


def called(query: str) -> set[str]:
    """The functions for which a query is refused."""
    return {problem.rpartition(" ")[2].lower() for problem in forbidden(query)}


def test_a_function_is_refused_wherever_it_stands(known):
    refused = sorted(n for n, kind in known if kind != "pragma" and n not in FUNCTIONS)
    calls = [f"\"{name}\"('/x', 'y')" for name in refused]
    for query in (
        f"SELECT {', '.join(calls)}",
        f"EXPLAIN ANALYZE SELECT {', '.join(f'system.main.{call}' for call in calls)} FROM marts.numbers",
        f"DESCRIBE SELECT 1 WHERE EXISTS (SELECT {', '.join(calls).upper()})",
        f"SELECT sum(n) OVER (ORDER BY {', '.join(calls)}) FROM marts.numbers",
        f"SELECT [{', '.join(f'abs({call})' for call in calls)}] FROM marts.numbers GROUP BY ALL",
    ):
        assert called(query) == set(refused)


def test_a_function_is_refused_as_a_source_of_rows(known):
    refused = sorted({name for name, _ in known} - TABLE_FUNCTIONS - {"delta_scan"})
    # Fifty at a time: each source of rows is a level of the parsed query.
    for first in range(0, len(refused), 50):
        some = refused[first : first + 50]
        calls = [f"\"{name}\"('/x', 'y')" for name in some]
        for query in (
            f"FROM {', '.join(calls)}",
            f"SUMMARIZE SELECT * FROM marts.numbers, {', '.join(f'system.{call}' for call in calls)}",
            f"WITH a AS ({' UNION ALL '.join(f'FROM {call}' for call in calls[:25])}) FROM a, {', '.join(calls[25:] or calls)}",
        ):
            assert called(query) == set(some)


def test_what_a_macro_calls_is_harmless_too():
    with connect(remote=True) as connection:
        asked = "SELECT function_name, macro_definition FROM duckdb_functions() WHERE function_type = 'macro'"
        macros = [row for row in connection.execute(asked).fetchall() if row[0] in FUNCTIONS]
    assert len(macros) > 50
    # `has_` and the like are refused as names, yet nothing that is allowed is made of them.
    assert {n: found for n, text in macros if (found := forbidden(f"SELECT {text}"))} == {}


SHAPES = (
    *("('{0}')", "('{0}', '{0}')", "('{0}'::BLOB, 1)", "('{0}', '{0}', 1)", "(['{0}'], '{0}')"),
)


@pytest.mark.parametrize("shapes", [SHAPES[:2], full(SHAPES[2:])], ids=["few", "more"])
def test_no_harmless_function_touches_a_file_or_an_address(tmp_path, shapes):
    (tmp_path / "canary").write_text(HUSH)
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        texts = (
            f"{tmp_path}/canary",
            f"{tmp_path}/new",
            f"http://127.0.0.1:{server.server_port}/x",
        )
        try:
            with connect(remote=True) as connection:
                answers = [row for text in texts for row in call_all(connection, text, shapes)]
        finally:
            server.shutdown()
    assert len(answers) > 100
    assert [one for one in answers if HUSH in one] == []
    assert asked == []
    assert [one.name for one in tmp_path.iterdir()] == ["canary"]


def call_all(
    connection: duckdb.DuckDBPyConnection, text: str, shapes: Sequence[str]
) -> Iterator[str]:
    """Call each harmless function with a text in each place; yields what it gives."""
    for name, shape in itertools.product(sorted(FUNCTIONS), shapes):
        with suppress(duckdb.Error):
            answer = connection.execute(f'SELECT "{name}"{shape.format(text)}').fetchmany(3)
            yield str(answer)
    for name, shape in itertools.product(sorted(TABLE_FUNCTIONS), shapes):
        with suppress(duckdb.Error):
            yield str(connection.execute(f'FROM "{name}"{shape.format(text)}').fetchmany(3))


STATEMENTS = [
    *("INSERT INTO marts.numbers VALUES (1)", "UPDATE marts.numbers SET n = 0"),
    *("DELETE FROM marts.numbers", "TRUNCATE marts.numbers", "CREATE TABLE x AS SELECT 1"),
    *("CREATE MACRO f(x) AS x", "CREATE SECRET (TYPE s3)", "CREATE TYPE e AS ENUM ('a')"),
    *("DROP VIEW marts.numbers", "ALTER TABLE x ADD COLUMN y INT", "BEGIN", "ROLLBACK", "VACUUM"),
    *(
        "COPY (SELECT 1) TO '/x'",
        "COPY x FROM '/x'",
        "EXPORT DATABASE '/x'",
        "IMPORT DATABASE '/x'",
    ),
    *("COPY FROM DATABASE a TO b", "ATTACH '/x'", "DETACH x", "USE x", "INSTALL httpfs"),
    *("FORCE INSTALL httpfs FROM 'http://x'", "LOAD '/x'", "UPDATE EXTENSIONS", "CALL range(3)"),
    *(
        "SET threads = 1",
        "RESET threads",
        "SET VARIABLE a = 1",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
    ),
    *("DEALLOCATE p", "ANALYZE", "CHECKPOINT", "FORCE CHECKPOINT", "COMMENT ON TABLE x IS 'y'"),
    *("MERGE INTO x USING y ON true WHEN MATCHED THEN DELETE", "SHOW threads", "SHOW VARIABLES"),
    *(
        "PRAGMA table_info('x')",
        "CALL pragma_version()",
        "RESET ALL",
        "SELECT 1; SELECT 2",
        "SELECT ?",
        "SELECT $1",
        "",
        "-- nothing",
        "EXPLAIN COPY x TO '/x'",
    ),
    "EXPLAIN EXPLAIN SELECT 1",
    "/* /* */ EXPLAIN SELECT 1 -- */\nEXPLAIN ANALYZE COPY (SELECT 1) TO '/x'",
]
SOURCES = [
    *(
        "'/etc/hostname'",
        '"/etc/hostname"',
        "'http://127.0.0.1/x'",
        "'x.parquet'",
        "marts.'/x.csv'",
    ),
    *('marts."../x.csv"', "pg_settings", "pg_catalog.pg_settings", "duckdb_logs", "sqlite_master"),
    *("system.marts.numbers", "other.marts.numbers", "nowhere.numbers", "numbers", "memory.main.x"),
    *("(WITH a AS (SELECT 1) FROM a), a", "delta_scan('/elsewhere/t')", "delta_scan('s3://b/t')"),
    *("query('SELECT 1')", "query_table('pg_settings')", "histogram('/etc/hostname', x)"),
    "(SELECT * FROM read_text((SELECT '/etc/hostname')))",
]


def is_refused(query: str) -> bool:
    try:
        return bool(forbidden(query))
    except duckdb.Error:  # this DuckDB does not even parse it
        return True


@pytest.mark.parametrize("query", STATEMENTS)
def test_a_statement_that_does_more_than_read_is_refused(query):
    assert is_refused(query)
    assert is_refused(f"EXPLAIN ANALYZE {query}")


@pytest.mark.parametrize("source", SOURCES)
def test_a_table_outside_of_the_lake_is_refused(source):
    assert is_refused(f"SELECT * FROM {source}")
    assert is_refused(f"DESCRIBE SELECT * FROM marts.numbers JOIN {source} USING (n)")
    assert is_refused(f"SELECT (SELECT count(*) FROM {source}) FROM marts.numbers")
    assert is_refused(f"WITH z AS MATERIALIZED (SELECT * FROM {source}) SELECT 1 UNION FROM z")


CALL = "write_blob('/x', 'y')"
PLACES = """
SELECT @
SELECT @ AS x FROM marts.numbers
SELECT * REPLACE (@ AS n) FROM marts.numbers
SELECT * EXCLUDE (n), @ FROM marts.numbers
SELECT COLUMNS(lambda c: @ IS NULL) FROM marts.numbers
SELECT n FROM marts.numbers WHERE @ IS NULL
SELECT n FROM marts.numbers WHERE n IN (1, @)
SELECT n FROM marts.numbers WHERE n IN (SELECT @)
SELECT n FROM marts.numbers WHERE n BETWEEN 1 AND @
SELECT n FROM marts.numbers GROUP BY n, @
SELECT n FROM marts.numbers GROUP BY GROUPING SETS ((n), (@))
SELECT n FROM marts.numbers GROUP BY n HAVING @ IS NULL
SELECT n FROM marts.numbers QUALIFY row_number() OVER () = @
SELECT n FROM marts.numbers ORDER BY @
SELECT n FROM marts.numbers LIMIT (SELECT @)
SELECT n FROM marts.numbers LIMIT 1 OFFSET (SELECT @)
SELECT n FROM marts.numbers LIMIT (SELECT @) %
SELECT DISTINCT ON (@) n FROM marts.numbers
SELECT sum(n) FILTER (@ IS NULL) FROM marts.numbers
SELECT list(n ORDER BY @) FROM marts.numbers
SELECT list(DISTINCT @) FROM marts.numbers
SELECT sum(@) OVER () FROM marts.numbers
SELECT lag(n, 1, @) OVER (ORDER BY n) FROM marts.numbers
SELECT sum(n) OVER (PARTITION BY @) FROM marts.numbers
SELECT sum(n) OVER (ORDER BY n ROWS BETWEEN @ PRECEDING AND CURRENT ROW) FROM marts.numbers
SELECT sum(n) OVER w FROM marts.numbers WINDOW w AS (ORDER BY @)
SELECT CASE WHEN @ IS NULL THEN 1 END
SELECT CASE 1 WHEN 1 THEN @ ELSE 2 END
SELECT (@)::VARCHAR, try_cast(@ AS INT)
SELECT {'a': @}
SELECT MAP {'a': @}
SELECT [1, @]
SELECT [@ FOR x IN [1]]
SELECT [x FOR x IN [1] IF @ IS NULL]
SELECT list_transform([1], lambda x: @)
SELECT [1, 2][@]
SELECT [1, 2][1:@]
SELECT abs(@), try(@), coalesce(NULL, @)
SELECT (@) COLLATE NOCASE
SELECT INTERVAL (@) DAY
SELECT struct_pack(a := @)
SELECT EXISTS (SELECT @)
SELECT 1 = ANY (SELECT @)
VALUES (1, @)
SELECT * FROM (VALUES (@)) t(a)
SELECT * FROM (SELECT @)
SELECT * FROM marts.numbers, LATERAL (SELECT @)
SELECT * FROM marts.numbers a JOIN marts.numbers b ON a.n = @
SELECT * FROM range(@)
SELECT * FROM unnest([@])
SELECT * FROM summary((SELECT @))
SELECT * FROM delta_scan(@)
SELECT * FROM marts.numbers AT (VERSION => @)
WITH x AS (SELECT @) SELECT 1
WITH x AS MATERIALIZED (SELECT @) SELECT 1
WITH RECURSIVE r(i) AS (SELECT @ UNION ALL SELECT i FROM r) FROM r
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT @ FROM r) FROM r
SELECT 1 UNION SELECT @
SELECT 1 EXCEPT SELECT @
SELECT * FROM marts.numbers PIVOT (sum(@) FOR kind IN ('a'))
PIVOT marts.numbers ON kind IN ('a') USING sum(@)
PIVOT (SELECT @ AS n, kind FROM marts.numbers) ON kind IN ('a') USING sum(n)
UNPIVOT (SELECT @ AS a, 1 AS b) ON a, b INTO NAME c VALUE d
FROM marts.numbers SELECT @
DESCRIBE SELECT @
SUMMARIZE SELECT @
SELECT * FROM (DESCRIBE SELECT @)
EXPLAIN SELECT @
EXPLAIN ANALYZE SELECT @
EXPLAIN (FORMAT json) SELECT @
""".strip().splitlines()


@pytest.mark.parametrize("place", PLACES)
def test_a_call_is_found_wherever_it_may_stand(place):
    assert parse_read(place.replace("@", "1")) is not None  # DuckDB knows this place
    assert "it calls the function write_blob" in forbidden(place.replace("@", CALL))


def test_every_pragma_and_setting_is_refused(known):
    with connect(remote=True) as connection:
        settings = connection.execute("SELECT name FROM duckdb_settings()").fetchall()
    assert len(settings) > 100
    for name in {name for name, kind in known if kind == "pragma"} | {name for (name,) in settings}:
        for query in (
            f"PRAGMA {name}",
            f"PRAGMA {name} = '/x'",
            f"SET {name} = '/x'",
            f"SHOW {name}",
        ):
            assert is_refused(query), query


ORDINARY = """
FROM marts.numbers
TABLE marts.numbers
VALUES (1, 'a'), (2, 'b')
SELECT n, kind FROM marts.numbers WHERE n BETWEEN 1 AND 2 AND kind IN ('a', 'b') ORDER BY ALL LIMIT 2 OFFSET 1
SELECT * EXCLUDE (n) REPLACE (upper(kind) AS kind) FROM memory.marts.numbers
SELECT COLUMNS('n|kind') FROM marts.numbers
SELECT DISTINCT ON (kind) kind, n FROM marts.numbers ORDER BY kind, n DESC NULLS LAST
SELECT kind, sum(n) FILTER (n > 1), count(*), grouping(kind) FROM marts.numbers GROUP BY ROLLUP (kind) HAVING count(*) > 0
SELECT kind, quantile_cont(n, 0.5), arg_max(n, seen_at), string_agg(kind, ',' ORDER BY n), list(n), mode(n) FROM marts.numbers GROUP BY ALL
SELECT n, sum(n) OVER w, lag(n) OVER (ORDER BY n), rank() OVER (PARTITION BY kind ORDER BY n) FROM marts.numbers WINDOW w AS (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
SELECT n FROM marts.numbers QUALIFY row_number() OVER (PARTITION BY kind ORDER BY n) = 1
WITH a AS (SELECT n FROM marts.numbers), b AS MATERIALIZED (SELECT n + 1 AS n FROM a) SELECT * FROM a JOIN b USING (n)
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 5) SELECT sum(i) FROM r
SELECT * FROM marts.numbers a LEFT JOIN staged.kinds b ON a.kind = b.kind AND b.rank > 0
SELECT * FROM marts.numbers ASOF JOIN staged.kinds ON n >= rank
SELECT * FROM marts.numbers SEMI JOIN staged.kinds USING (kind)
SELECT * FROM marts.numbers POSITIONAL JOIN staged.kinds
SELECT * FROM marts.numbers, LATERAL (SELECT n * 2 AS twice)
SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS a EXCEPT SELECT 3 INTERSECT SELECT 4
SELECT (SELECT max(n) FROM marts.numbers), EXISTS (FROM staged.kinds), 1 = ANY (SELECT n FROM marts.numbers)
SELECT unnest(many), unnest(parts) FROM marts.numbers
SELECT n, x FROM marts.numbers, unnest(many) AS u(x)
SELECT [x * 2 FOR x IN many IF x > 1], list_transform(many, lambda x: x + 1), list_aggregate(many, 'sum'), many[1], many[1:2] FROM marts.numbers
SELECT {'a': 1}.a, MAP {'k': 2}['k'], struct_pack(b := 1), row(1, 2), parts.x, parts['y'] FROM marts.numbers
SELECT note::JSON->'a'->>'$.b[0]', json_extract_string(note, '$.a'), json_keys(note), to_json(parts) FROM marts.numbers
SELECT key, value FROM json_each('{"a": 1}')
SELECT date_trunc('month', seen_at), extract(year FROM seen_at), seen_at + INTERVAL 3 DAY, seen_at AT TIME ZONE 'Europe/Berlin', age(seen_at), strftime(seen_at, '%Y-%m'), dayname(seen_at) FROM marts.numbers
SELECT current_date, now(), today(), current_timestamp, DATE '2024-02-29', strptime('2024', '%Y'), make_date(2024, 1, 2)
SELECT time_bucket(INTERVAL 1 WEEK, seen_at), epoch_ms(seen_at), last_day(seen_at) FROM marts.numbers
SELECT regexp_extract(kind, '(a)', 1), regexp_replace(kind, 'a', 'b', 'g'), kind ~ 'a', kind SIMILAR TO 'a|b', kind LIKE 'a%', kind NOT ILIKE 'A_' ESCAPE '$', kind GLOB 'a*' FROM marts.numbers
SELECT kind || 'x', substring(kind FROM 1 FOR 1), trim(BOTH 'a' FROM kind), position('a' IN kind), overlay_ FROM (SELECT kind, 1 AS overlay_ FROM marts.numbers)
SELECT kind COLLATE NOCASE, kind COLLATE de FROM marts.numbers ORDER BY kind COLLATE de
SELECT CASE kind WHEN 'a' THEN 1 ELSE NULL END, coalesce(NULL, 1), nullif(1, 1), ifnull(NULL, 2), if(true, 1, 2), try(1 / 0), greatest(1, 2) FROM marts.numbers
SELECT 1::DECIMAL(9, 2), TRY_CAST('x' AS INT), CAST([1] AS DOUBLE[]), 'a'::ENUM('a', 'b'), 1::HUGEINT, NULL IS DISTINCT FROM 1, NOT true, -n, n % 2, n // 2, n ** 2, n & 1, n << 1, ~n FROM marts.numbers
SELECT #1, random() < 2, uuid() IS NOT NULL, hash(n), md5(kind), sha256(kind), format('{} {}', n, kind), printf('%d', n) FROM marts.numbers ORDER BY 1
SELECT * FROM marts.numbers USING SAMPLE 2 ROWS
SELECT * FROM marts.numbers TABLESAMPLE 50 PERCENT LIMIT 10%
PIVOT marts.numbers ON kind IN ('a', 'b') USING sum(n)
SELECT * FROM marts.numbers PIVOT (sum(n) FOR kind IN ('a', 'b'))
UNPIVOT (SELECT n, n + 1 AS m FROM marts.numbers) ON n, m INTO NAME which VALUE much
FROM range(3) t(i) SELECT i, i * 2
SELECT * FROM generate_series(DATE '2024-01-01', DATE '2024-01-03', INTERVAL 1 DAY)
DESCRIBE marts.numbers
DESCRIBE SELECT n FROM marts.numbers
SHOW marts.numbers
SUMMARIZE marts.numbers
SUMMARIZE SELECT n FROM marts.numbers
SHOW ALL TABLES
SHOW TABLES
SHOW TABLES FROM marts
SHOW DATABASES
SELECT * FROM (DESCRIBE marts.numbers)
SELECT table_schema, table_name FROM information_schema.tables
SELECT column_name FROM information_schema.columns WHERE table_name = 'numbers'
SELECT function_name FROM duckdb_functions() LIMIT 1
EXPLAIN SELECT * FROM marts.numbers
EXPLAIN ANALYZE SELECT sum(n) FROM marts.numbers
EXPLAIN (FORMAT json) SELECT 1
EXPLAIN (ANALYZE, FORMAT json) SELECT 1
EXPLAIN /* why */ ANALYZE (SELECT 1)
SELECT /* comment */ n -- and another
""".strip().splitlines()
ORDINARY[-1] += "\nFROM marts.numbers; -- end"


def test_ordinary_analytics_work(lake):
    wrong: dict[str, object] = {}
    with open_sql(lake) as connection:
        for query in ORDINARY:
            try:
                statement = parse_read(query)
                assert statement is not None
                if problems := find_forbidden(statement, OPEN):
                    wrong[query] = problems
                connection.execute(statement.text).fetchall()
            except (duckdb.Error, AssertionError) as error:
                wrong[query] = error
    assert wrong == {}


def test_an_earlier_version_of_a_table_of_the_lake_is_read(lake, monkeypatch):
    monkeypatch.chdir(Path(lake.root).parent)
    for place in (lake.uri("staged/kinds"), "lake/staged/kinds", "./lake/staged/kinds/"):
        _, rows = run_query(lake, f"SELECT count(*) FROM delta_scan('{place}', version => 0)")
        assert list(rows) == [(2,)]


@pytest.mark.parametrize(
    "scan",
    [
        *("delta_scan('{folder}/elsewhere')", "delta_scan('{lake}/../elsewhere')"),
        *("delta_scan('{lake}/%2e%2e/elsewhere')", "delta_scan('{lake}')", "delta_scan('~/lake')"),
        *("delta_scan('{lake}/staged/kinds\\0')", "delta_scan('{lake}/staged')"),
        "delta_scan('file://{lake}/staged/kinds')",
        "delta_scan(['{lake}/staged/kinds', '{folder}/elsewhere'])",
        "delta_scan('{lake}/staged/' || 'kinds')",
        "delta_scan('{lake}/staged/kinds', filename => '{folder}/secret.csv')",
        "delta_scan('{lake}/staged/kinds', version => (SELECT 0))",
        *("delta_scan()", "delta_scan(1)", "delta_list_files('{lake}/staged/kinds')"),
    ],
)
def test_no_other_scan_is_allowed(lake, scan):
    folder = Path(lake.root).parent
    query = f"SELECT * FROM {scan.format(lake=lake.root, folder=folder)}"
    with pytest.raises(SetupError, match="reaches beyond the tables") as refused:
        run_query(lake, query)
    assert "Next: " in str(refused.value)
    assert HUSH not in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT write_blob('{file}', 'x'::BLOB)",
        "EXPLAIN ANALYZE SELECT write_blob('{file}', 'x'::BLOB)",
        "DESCRIBE SELECT write_blob('{file}', 'x'::BLOB)",
        "SELECT write_blob('{file}' || n, kind::BLOB) FROM marts.numbers",
        "SELECT list_transform(many, lambda x: write_blob('{file}', 'x'::BLOB)) FROM marts.numbers",
        "SELECT sum(n) OVER (ORDER BY write_blob('{file}', 'x'::BLOB)) FROM marts.numbers",
        "FROM copy_dir('{folder}', '{file}')",
    ],
)
def test_nothing_is_written_and_the_function_is_named(lake, tmp_path, query):
    file = tmp_path / "written"
    with pytest.raises(SetupError, match=r"the function (write_blob|copy_dir)\n"):
        run_query(lake, query.format(file=file, folder=Path(lake.root).parent))
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_wrong_is_named_at_once(lake):
    with pytest.raises(SetupError) as refused:
        run_query(
            lake, "SELECT getenv('HOME'), current_setting('threads') FROM numbers, read_text('/x')"
        )
    assert str(refused.value).splitlines()[1:-1] == [
        "  - it calls the function getenv",
        "  - it calls the function current_setting",
        "  - numbers is no table here",
        "  - it reads from the function read_text",
    ]


@pytest.mark.parametrize(
    "query", ["SELECT " + "(" * 900 + "1" + ")" * 900, "SELECT 1" + " + 1" * 900]
)
def test_a_very_deep_query_ends_with_an_answer_or_a_message(lake, query):
    try:
        assert list(run_query(lake, query)[1])
    except SetupError as error:
        assert "Next: " in str(error)  # noqa: PT017


def test_a_pivot_without_its_values_says_what_it_needs(lake):
    with pytest.raises(SetupError, match=r"PIVOT has to name its values"):
        run_query(lake, "PIVOT marts.numbers ON kind USING sum(n)")
