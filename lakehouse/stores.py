"""Places for tables and files: a folder of this machine, or a bucket behind a URI; and what a store says when it fails.

Belongs here: which places there can be, opening them, and their errors in a line that holds no secret.
Does not belong here: what lies there (`lake.py`, `sources/landing.py`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.store import ObjectStore, from_url

from lakehouse.errors import BusyError, SetupError

_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//?)([^/]*)")
_HTTP = ("allow_http", "aws_allow_http")
_SECRET = re.compile(r"secret|key|token|password|sas", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300


def problem(place: str) -> str | None:
    """What keeps a text from being a folder or the URI of a bucket; None if nothing does."""
    found = _URI.match(place)
    if found is None:
        return None
    scheme, slashes, bucket = found.groups()
    if scheme.lower() not in _SCHEMES:
        return f"has the unknown scheme {scheme}:; write a folder, or a URI such as s3://bucket/folder"
    if slashes != "//" or not bucket:
        return f"names no bucket; write {scheme}://<bucket>/<folder>"
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
        config = {name: value for name, value in options.items() if name.lower() not in _HTTP}
        plain = any(options[name].lower() == "true" for name in options if name.lower() in _HTTP)
        client = {"allow_http": True} if plain else None
        return from_url(root, config=config or None, client_options=client)  # type: ignore[arg-type, call-overload, no-any-return, unused-ignore]
    except (OSError, obstore.exceptions.BaseError) as error:
        raise SetupError(
            f"{root} cannot be opened: {said(error, options)}\nNext: name a folder, or a URI such as s3://bucket/lake."
        ) from error


@contextmanager
def answering(root: str, options: Mapping[str, str]) -> Iterator[None]:
    """Tell in short when the store at a root does not answer; errors of a folder of this machine are left as they are.

    Raises:
        BusyError: it does not answer.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, obstore.exceptions.BaseError) as error:
        if "://" not in root:
            raise
        raise BusyError(f"{root} does not answer: {said(error, options)}\n{next_step(root)}") from None


def next_step(root: str) -> str:
    """What to do when a store does not answer."""
    if "://" not in root:
        return "Next: mend that; nothing changed."
    return (
        "Next: see that the bucket exists, and that LAKEHOUSE_STORAGE_OPTIONS holds its credentials, region and "
        'endpoint, e.g. {"aws_access_key_id": "…", "aws_secret_access_key": "…", "aws_region": "…"}; then run again.'
    )


def said(error: Exception, options: Mapping[str, str]) -> str:
    """What an error of a store says, in a line, without the secrets among its options."""
    text = _COLOUR.sub("", str(error)).partition("\n\nDebug source:")[0]
    for name, value in options.items():
        if value and _SECRET.search(name):
            text = text.replace(value, "…")
    line = " ".join(text.replace("↳", "").split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
