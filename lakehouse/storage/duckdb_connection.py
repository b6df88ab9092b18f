"""DuckDB, with its Delta and S3 readers loaded from the wheels that carry them; nothing is downloaded.

The one module that knows which DuckDB this is, so that a move to another release is made here.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

_CONFIG: Mapping[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # They come in wheels, as DuckDB itself does. To check their signature is to hash 82 MB for each connection.
    "allow_unsigned_extensions": "true",
}
_S3 = {
    "KEY_ID": ("aws_access_key_id", "access_key_id"),
    "SECRET": ("aws_secret_access_key", "secret_access_key"),
    "SESSION_TOKEN": ("aws_session_token", "session_token"),
    "REGION": ("aws_region", "region"),
}


def connect(
    options: Mapping[str, str] | None = None, *, remote: bool = False, delta: bool = True
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that reads Delta tables, and S3 where `remote` asks for it.

    Args:
        options: object store options, as delta-rs takes them; become a DuckDB secret.
        remote: whether the lake is in a bucket.
        delta: whether Delta tables will be read; it keeps the footers of their files, which never change.
    """
    connection = _set_up(duckdb.connect(config=dict(_CONFIG)))
    if delta:
        _load(connection, "delta")
        connection.execute("SET parquet_metadata_cache = true")
    if remote:
        _load(connection, "httpfs")
        told = {key.lower(): value for key, value in (options or {}).items()}
        connection.execute(_secret(told if _has_keys(told) else {**told, **_keys_of_role()}))
    return connection


def connect_for_footers(options: Mapping[str, str], *, remote: bool) -> duckdb.DuckDBPyConnection:
    """A DuckDB that reads Parquet files; that for local ones is made once a process."""
    return connect(options, remote=True, delta=False) if remote else _set_up(_local().cursor())


@cache
def _local() -> duckdb.DuckDBPyConnection:
    return connect(delta=False)


def restrict_access(connection: duckdb.DuckDBPyConnection, root: str, spool: str) -> None:
    """Let a connection read nothing but what lies below a root, for good; what does not fit in memory is spooled."""
    places = {
        root.rstrip("/"),
        root.rstrip("/") if "://" in root else str(Path(root).resolve()),
        spool,
    }
    connection.execute(f"SET temp_directory = {quote_literal(spool)}")
    connection.execute(
        f"SET allowed_directories = [{', '.join(quote_literal(f'{place}/') for place in sorted(places))}]"
    )
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _set_up(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """What holds for each connection, a cursor of another among them."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it is drawn on standard output
    return connection


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    folder = files(f"duckdb_extension_{extension}") / "extensions" / f"v{duckdb.__version__}"
    connection.execute(
        f"LOAD {quote_literal(str(Path(str(folder)) / f'{extension}.duckdb_extension'))}"
    )


def _has_keys(options: Mapping[str, str]) -> bool:
    return any(name in options for name in (*_S3["KEY_ID"], *_S3["SESSION_TOKEN"]))


def _keys_of_role() -> dict[str, str]:
    """The keys that AWS gives to this process at the moment, empty if it gives none: DuckDB cannot ask by itself."""
    credentials = _chain()
    if credentials is None:
        return {}
    keys = credentials.get_frozen_credentials()
    found = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
    return found | ({"aws_session_token": keys.token} if keys.token else {})


@cache
def _chain() -> Any:  # noqa: ANN401
    """What renews the keys of a role before they expire."""
    from botocore.session import get_session  # noqa: PLC0415, its import opens a socket

    return get_session().get_credentials()


def _secret(options: Mapping[str, str]) -> str:
    parts = ["TYPE s3"]
    for name, keys in _S3.items():
        value = next((options[key] for key in keys if key in options), None)
        if value is not None:
            parts.append(f"{name} {quote_literal(value)}")
    endpoint = (
        options.get("aws_endpoint_url") or options.get("endpoint") or options.get("aws_endpoint")
    )
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        parts += [
            f"ENDPOINT {quote_literal(host)}",
            "URL_STYLE 'path'",
            f"USE_SSL {'false' if scheme == 'http' else 'true'}",
        ]
    return f"CREATE OR REPLACE SECRET lake ({', '.join(parts)})"


def quote_literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_identifier(identifier: str) -> str:
    """A SQL identifier, quoted."""
    return '"' + identifier.replace('"', '""') + '"'
