"""Object stores: a folder of this machine, or a bucket behind a URI; and their errors.

Belongs here: which places there can be, opening them, requesting many things at once, and their
errors in one line without secrets. Does not belong here: what is in them (`lake.py` and
`ingest/files/landing_zone.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import obstore
from deltalake.exceptions import DeltaError, TableNotFoundError
from obstore.store import ObjectStore, from_url

from lakehouse.errors import OutageError, SetupError
from lakehouse.url_secrets import has_user, hide_url_secrets

_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//?)([^/]*)")
# Options of delta-rs that obstore takes as settings of its client. Among the options of a store
# they make it panic, which `except Exception` does not catch.
_CLIENT_OPTIONS = {
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "default_content_type"),
    *("http1_only", "http2_keep_alive_interval", "http2_keep_alive_timeout"),
    *("http2_keep_alive_while_idle", "http2_max_frame_size", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url"),
    *("randomize_addresses", "read_timeout", "root_certificate", "timeout", "user_agent"),
}
# obstore takes these as a mapping, and an option is a text.
_IMPOSSIBLE_OPTIONS = {"default_headers"}
_CLOUD = re.compile(r"^(aws|azure|google)_")
_SECRET_OPTION = re.compile(r"secret|key|token|password|sas|proxy", re.IGNORECASE)
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MARKUP = re.compile(r"<[?/]?\w[^>]*>")
_STORE_ERROR = re.compile(r"Generic \w+ error|object[ -]?store|\bHTTP", re.IGNORECASE)
# Answers 401 and 403, and the codes of S3 for wrong credentials and for a bucket that does not
# exist.
_REFUSAL = re.compile(
    r"\b40[13] [FU]|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|NoSuchBucket"
)
_UNSAFE_CHARACTER = re.compile(r"[^A-Za-z0-9!&'()*+,./:=@_~-]")
_NAMES_USER = (
    "names a user or a key before its host, where every log would show it; give keys in "
    "LAKEHOUSE_STORAGE_OPTIONS or AWS's variables"
)
_LONGEST_MESSAGE = 400  # characters; a store may answer with a whole page
_T = TypeVar("_T")
_R = TypeVar("_R")


def is_remote(root: str) -> bool:
    """Returns whether a root is the URI of a bucket, and not a folder of this machine."""
    return "://" in root


def check_uri(root: str) -> None:
    """Refuses the URI of a bucket that carries a key: it would be in every log and commit.

    Raises:
        SetupError: it does.
    """
    if has_user(root):
        raise SetupError(f"The URI of a bucket {_NAMES_USER}.\nNext: write it without them.")


def find_uri_problem(place: str) -> str | None:
    """Returns why a text names neither a folder nor a bucket; None if it names one."""
    found = _URI.match(place)
    if found is None:
        return None
    # Any text with a scheme is meant as a URI: `s3:/x` once became a folder of that name.
    scheme, slashes, bucket = found.groups()
    if has_user(place):
        return _NAMES_USER
    if scheme.lower() not in _SCHEMES:
        return (
            f"has the unknown scheme {scheme}:; write a folder, or a URI such as s3://bucket/folder"
        )
    if slashes != "//" or not bucket:
        return f"names no bucket; write {scheme}://<bucket>/<folder>"
    if unsafe := sorted(set(_UNSAFE_CHARACTER.findall(place))):
        return (
            f"holds {' '.join(map(repr, unsafe))}, which some clients of a bucket cannot "
            "find again; use letters and digits"
        )
    return None


def open_store(root: str, options: Mapping[str, str]) -> ObjectStore:
    """Opens the object store behind a URI, or behind a folder, which is created if need be.

    Raises:
        SetupError: the root can be neither.
    """
    try:
        if not is_remote(root):
            Path(root).mkdir(parents=True, exist_ok=True)
            return from_url(Path(root).resolve().as_uri())
        config, client = _divide_options(options)
        # obstore's type hints name each option, and ours come from a setting.
        open_url: Callable[..., ObjectStore] = from_url
        return open_url(root, config=config or None, client_options=client or None)
    except (OSError, ValueError, TypeError, obstore.exceptions.BaseError) as error:
        raise SetupError(
            f"{root} cannot be opened: {describe_store_error(error, options)}\n"
            "Next: name a folder, or a URI such as s3://bucket/lake, and in "
            "LAKEHOUSE_STORAGE_OPTIONS only options that its client knows."
        ) from None


def _divide_options(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Divides options into those of a store and those of its client.

    Raises:
        ValueError: the client takes an option only in another form than text.
    """
    # `aws_allow_http` is the same option as `allow_http`.
    plain = {name: _CLOUD.sub("", name.lower()) for name in options}
    if impossible := [name for name in options if plain[name] in _IMPOSSIBLE_OPTIONS]:
        raise ValueError(f"options that cannot be given as text: {', '.join(impossible)}")
    client = {plain[name]: v for name, v in options.items() if plain[name] in _CLIENT_OPTIONS}
    config = {name: v for name, v in options.items() if plain[name] not in _CLIENT_OPTIONS}
    return config, client


def fetch_all(fetch: Callable[[_T], _R], things: Sequence[_T], at_once: int) -> list[_R]:
    """Calls a function for each of some things at once; returns the results in their order.

    Args:
        fetch: the function, which is called in several threads.
        things: its arguments.
        at_once: how many requests are under way at a time.
    """
    if at_once == 1:  # a local disk, which answers no faster to threads
        return list(map(fetch, things))
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(fetch, things))


@contextmanager
def translate_store_errors(root: str, options: Mapping[str, str]) -> Iterator[None]:
    """Turns errors of a bucket into short ones; those of a folder pass unchanged.

    Raises:
        SetupError: the store refuses these credentials, or there is no such bucket.
        OutageError: the store does not answer.
    """
    try:
        yield
    except FileNotFoundError as error:
        # obstore reports a bucket that does not exist like a file that does not exist.
        if not is_remote(root) or not _REFUSAL.search(str(error)):
            raise
        raise SetupError(
            f"{root} is refused: {describe_store_error(error, options)}\n{suggest_next_step(root)}"
        ) from None
    except (OSError, obstore.exceptions.BaseError, DeltaError, duckdb.IOException) as error:
        if not is_store_error(root, error):
            raise
        reason, next_step = describe_store_error(error, options), suggest_next_step(root)
        if _REFUSAL.search(str(error)):
            raise SetupError(f"{root} is refused: {reason}\n{next_step}") from None
        raise OutageError(f"{root} does not answer: {reason}\n{next_step}") from None


def is_store_error(root: str, error: Exception) -> bool:
    """Returns whether an error comes from a bucket, and not from this machine or from the data."""
    # Callers take TableNotFoundError for the answer that there is no table yet.
    if not is_remote(root) or isinstance(error, TableNotFoundError):
        return False
    if isinstance(error, OSError):
        return error.errno is None  # Polars and delta-rs raise these with a text alone
    if isinstance(error, obstore.exceptions.BaseError):
        return True
    return _STORE_ERROR.search(str(error)) is not None


def suggest_next_step(root: str) -> str:
    """Returns what to do when a store does not answer."""
    if not is_remote(root):
        return "Next: fix the cause and run again; nothing changed."
    return (
        "Next: check that the bucket exists, and that LAKEHOUSE_STORAGE_OPTIONS holds its "
        'credentials, region and endpoint, e.g. {"aws_access_key_id": "…", '
        '"aws_secret_access_key": "…", "aws_region": "…"}; then run again.'
    )


def describe_store_error(error: Exception, options: Mapping[str, str]) -> str:
    """Returns the message of a store's error in one line, without secret values of its options."""
    # obstore adds a dump for developers. Stores answer in XML, whose tags go.
    text = _TERMINAL_COLOUR.sub("", str(error)).partition("\n\nDebug source:")[0]
    for name, value in options.items():
        if value and _SECRET_OPTION.search(name):
            text = text.replace(value, "…")
    line = hide_url_secrets(" ".join(_MARKUP.sub(" ", text).replace("↳", "").split()))
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"
