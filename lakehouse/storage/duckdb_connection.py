"""DuckDB connections, with the Delta and S3 readers loaded from the wheels that carry them.

Nothing is downloaded. Only this module depends on the release of DuckDB, so that a move to another
one is made here.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from lakehouse.storage.object_store import is_remote

_CONFIG: Mapping[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # The extensions come in wheels, as DuckDB itself does. Checking their signature would hash
    # 82 MB for each connection.
    "allow_unsigned_extensions": "true",
    # Otherwise a name that is no table is looked up among the variables of the program.
    "python_enable_replacements": "false",
}
_CLOSED_CONFIG: Mapping[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "threads": 1,
    "lock_configuration": "true",
}
# DuckDB's name of each setting, and the options of delta-rs that may give it, the first one first.
_S3_SETTINGS = {
    "KEY_ID": ("aws_access_key_id", "access_key_id"),
    "SECRET": ("aws_secret_access_key", "secret_access_key"),
    "SESSION_TOKEN": ("aws_session_token", "session_token"),
    "REGION": ("aws_region", "region"),
}
_ENDPOINTS = ("aws_endpoint_url", "endpoint", "aws_endpoint")


def connect(
    options: Mapping[str, str] | None = None, *, remote: bool = False, delta: bool = True
) -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB in memory that reads Delta tables, and S3 where `remote` asks for it.

    Args:
        options: object store options, as delta-rs takes them; they become a DuckDB secret.
        remote: whether to load the reader for buckets.
        delta: whether to load the reader for Delta tables.
    """
    connection = _configure(duckdb.connect(config=dict(_CONFIG)))
    if delta:
        _load(connection, "delta")
        # The footers of data files may be kept: a data file never changes.
        connection.execute("SET parquet_metadata_cache = true")
    if remote:
        _load(connection, "httpfs")
        # Keys of two identities must not mix: AWS is asked only where the options have none.
        given = {key.lower(): value for key, value in (options or {}).items()}
        secret = given if _has_keys(given) else {**given, **_read_role_keys()}
        connection.execute(_build_secret(secret))
    return connection


def connect_closed() -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB in memory that opens no file, loads no extension and contacts nobody.

    It takes a query apart and plans it. DuckDB reads files even while it parses: for IMPORT.
    """
    return duckdb.connect(config=dict(_CLOSED_CONFIG))


def connect_for_footers(options: Mapping[str, str], *, remote: bool) -> duckdb.DuckDBPyConnection:
    """Opens a DuckDB that reads Parquet files; a process creates the one for local files once."""
    if remote:
        return connect(options, remote=True, delta=False)
    return _configure(_connect_locally().cursor())


@cache
def _connect_locally() -> duckdb.DuckDBPyConnection:
    return connect(delta=False)


def restrict_access(connection: duckdb.DuckDBPyConnection, root: str, spool: str) -> None:
    """Restricts a connection for good to files below a root.

    Whoever may write a query could read any file of the machine otherwise, with `read_text`.

    Args:
        connection: the connection.
        root: the root of the lake.
        spool: the folder for what does not fit in memory.
    """
    lake = root.rstrip("/")
    places = {lake, lake if is_remote(root) else str(Path(root).resolve()), spool}
    allowed = ", ".join(quote_literal(f"{place}/") for place in sorted(places))
    connection.execute(f"SET temp_directory = {quote_literal(spool)}")
    connection.execute(f"SET allowed_directories = [{allowed}]")
    # Last of all, because nothing can be set after that.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _configure(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Sets what every connection needs; a cursor inherits none of it."""
    connection.execute("SET TimeZone = 'UTC'")
    # A progress bar would be drawn on standard output, among the results.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    folder = files(f"duckdb_extension_{extension}") / "extensions" / f"v{duckdb.__version__}"
    path = Path(str(folder)) / f"{extension}.duckdb_extension"
    connection.execute(f"LOAD {quote_literal(str(path))}")


def _has_keys(options: Mapping[str, str]) -> bool:
    names = (*_S3_SETTINGS["KEY_ID"], *_S3_SETTINGS["SESSION_TOKEN"])
    return any(name in options for name in names)


def _read_role_keys() -> dict[str, str]:
    """Returns the keys that AWS gives to this process now; empty if it gives none.

    DuckDB cannot ask for them itself.
    """
    credentials = _find_credentials()
    if credentials is None:
        return {}
    keys = credentials.get_frozen_credentials()
    found = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
    return found | ({"aws_session_token": keys.token} if keys.token else {})


@cache
def _find_credentials() -> Any:  # noqa: ANN401, botocore has no types
    """Returns the credentials of the process, which renew the keys of a role before they expire."""
    from botocore.session import get_session  # noqa: PLC0415, its import opens a socket

    return get_session().get_credentials()


def _build_secret(options: Mapping[str, str]) -> str:
    parts = ["TYPE s3"]
    for name, keys in _S3_SETTINGS.items():
        value = next((options[key] for key in keys if key in options), None)
        if value is not None:
            parts.append(f"{name} {quote_literal(value)}")
    endpoint = next((options[name] for name in _ENDPOINTS if options.get(name)), None)
    if endpoint:
        # delta-rs addresses a bucket by path, so a server with an endpoint of its own need not have
        # a host name for each bucket.
        scheme, _, host = endpoint.rpartition("://")
        parts.append(f"ENDPOINT {quote_literal(host)}")
        parts.append("URL_STYLE 'path'")
        parts.append(f"USE_SSL {'false' if scheme == 'http' else 'true'}")
    return f"CREATE OR REPLACE SECRET lake ({', '.join(parts)})"


def quote_literal(text: str) -> str:
    """Returns a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_identifier(identifier: str) -> str:
    """Returns a SQL identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'
