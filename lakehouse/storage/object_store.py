"""Places for tables and files: a folder of this machine, or a bucket behind a URI; and what a store says when it fails.

Belongs here: which places there can be, opening them, and their errors in a line that holds no secret.
Does not belong here: what lies there (`lake.py`, `sources/landing.py`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import obstore
from deltalake.exceptions import DeltaError, TableNotFoundError
from obstore.store import ObjectStore, from_url

from lakehouse.errors import OutageError, SetupError

_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//?)([^/]*)")
_HTTP = ("allow_http", "aws_allow_http")
_CLIENT = ("connect_timeout", "proxy_url", "timeout", "user_agent")
_SECRET = re.compile(r"secret|key|token|password|sas", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_STORE = re.compile(r"Generic \w+ error|object[ -]?store|\bHTTP", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b40[13] [FU]|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|NoSuchBucket"
)
_ODD = re.compile(r"[^A-Za-z0-9!&'()*+,./:=@_~-]")
_MARKUP = re.compile(r"<[?/]?\w[^>]*>")
_LONGEST = 400


def find_uri_problem(place: str) -> str | None:
    """What keeps a text from being a folder or the URI of a bucket; None if nothing does."""
    found = _URI.match(place)
    if found is None:
        return None
    scheme, slashes, bucket = found.groups()
    if scheme.lower() not in _SCHEMES:
        return (
            f"has the unknown scheme {scheme}:; write a folder, or a URI such as s3://bucket/folder"
        )
    if slashes != "//" or not bucket:
        return f"names no bucket; write {scheme}://<bucket>/<folder>"
    if odd := sorted(set(_ODD.findall(place))):
        return f"holds {' '.join(map(repr, odd))}, which not every client of a bucket finds again; use letters and digits"
    return None


def open_store(root: str, options: Mapping[str, str]) -> ObjectStore:
    """The object store behind a folder, which is made if need be, or a URI.

    Raises:
        SetupError: it can be neither.
    """
    try:
        if "://" not in root:
            Path(root).mkdir(parents=True, exist_ok=True)
            return from_url(Path(root).resolve().as_uri())
        config = {
            name: value for name, value in options.items() if name.lower() not in (*_HTTP, *_CLIENT)
        }
        client: dict[str, Any] = {
            name.lower(): options[name] for name in options if name.lower() in _CLIENT
        }
        if any(options[name].lower() == "true" for name in options if name.lower() in _HTTP):
            client["allow_http"] = True
        return from_url(root, config=config or None, client_options=client or None)  # type: ignore[arg-type, call-overload, no-any-return, unused-ignore]
    except (OSError, obstore.exceptions.BaseError) as error:
        raise SetupError(
            f"{root} cannot be opened: {describe_store_error(error, options)}\nNext: name a folder, or a URI such as s3://bucket/lake."
        ) from error


@contextmanager
def translate_store_errors(root: str, options: Mapping[str, str]) -> Iterator[None]:
    """Tell in short when the store at a root fails; errors of a folder of this machine are left as they are.

    Raises:
        SetupError: it refuses these credentials, or there is no such bucket.
        OutageError: it does not answer.
    """
    try:
        yield
    except FileNotFoundError as error:
        if "://" not in root or not _REFUSAL.search(str(error)):
            raise
        raise SetupError(
            f"{root} is refused: {describe_store_error(error, options)}\n{suggest_next_step(root)}"
        ) from None
    except (OSError, obstore.exceptions.BaseError, DeltaError, duckdb.IOException) as error:
        if not is_store_error(root, error):
            raise
        text = describe_store_error(error, options)
        if _REFUSAL.search(str(error)):
            raise SetupError(f"{root} is refused: {text}\n{suggest_next_step(root)}") from None
        raise OutageError(f"{root} does not answer: {text}\n{suggest_next_step(root)}") from None


def is_store_error(root: str, error: Exception) -> bool:
    """Whether an error comes from the store behind a URI, and not from this machine or from the data."""
    if "://" not in root or isinstance(error, TableNotFoundError):
        return False
    if isinstance(error, OSError):
        return error.errno is None  # Polars and delta-rs raise these with a text alone
    return (
        isinstance(error, obstore.exceptions.BaseError) or _OF_STORE.search(str(error)) is not None
    )


def suggest_next_step(root: str) -> str:
    """What to do when a store does not answer."""
    if "://" not in root:
        return "Next: mend that; nothing changed."
    return (
        "Next: see that the bucket exists, and that LAKEHOUSE_STORAGE_OPTIONS holds its credentials, region and "
        'endpoint, e.g. {"aws_access_key_id": "…", "aws_secret_access_key": "…", "aws_region": "…"}; then run again.'
    )


def describe_store_error(error: Exception, options: Mapping[str, str]) -> str:
    """What an error of a store says, in a line, without the secrets among its options."""
    text = _COLOUR.sub("", str(error)).partition("\n\nDebug source:")[0]
    for name, value in options.items():
        if value and _SECRET.search(name):
            text = text.replace(value, "…")
    line = " ".join(_MARKUP.sub(" ", text).replace("↳", "").split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
