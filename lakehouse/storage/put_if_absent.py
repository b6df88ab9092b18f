"""Put-if-absent, the one thing that a bucket must do so that two writers collide: proved before anything is written.

A commit is a file of the log that must not be there yet. A store that ignores this condition lets the later of two
writers overwrite the commit of the earlier one, and nobody hears of it.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from uuid import uuid4

import obstore
from obstore.store import ObjectStore

from lakehouse.errors import OutageError, SetupError
from lakehouse.storage.object_store import open_store, translate_store_errors

_WRITERS = 4
_TRIES = 3
_UNKNOWN = re.compile(r"\b501\b|NotImplemented")


def prove_put_if_absent(root: str, options: Mapping[str, str]) -> None:
    """Prove it for the bucket of a root, once in a process: several writers put one small object, which is removed.

    Raises:
        SetupError: the store lets more than one writer put it, or cannot be told not to.
        OutageError: it does not answer.
    """
    _proved(root, tuple(sorted(options.items())))


@cache
def _proved(root: str, options: tuple[tuple[str, str], ...]) -> None:
    store = open_store(root, dict(options))
    with translate_store_errors(root, dict(options)):
        for _ in range(_TRIES):
            is_proved = _only_one(store, f"_put_if_absent/{uuid4()}")
            if is_proved is not None:
                break
    if is_proved is None:
        raise OutageError(
            f"{root} answers too seldom to prove put-if-absent.\nNext: run again when it answers."
        )
    if not is_proved:
        raise SetupError(
            f"{root}: the store does not keep its word to write over no object (If-None-Match: *), so that two writers "
            "would lose commits.\n"
            "Next: use a store that can, or let one machine alone write and set LAKEHOUSE_SINGLE_WRITER=true there."
        )


def _only_one(store: ObjectStore, key: str) -> bool | None:
    """Whether one of several writers puts an object and the others are refused; None when answers were lost."""

    def put(number: int) -> bool:
        try:
            obstore.put(store, key, str(number).encode(), mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return False
        return True

    try:
        with ThreadPoolExecutor(_WRITERS) as writers:
            done = [
                number
                for number, is_done in enumerate(writers.map(put, range(_WRITERS)))
                if is_done
            ]
    except obstore.exceptions.BaseError as error:
        if _UNKNOWN.search(str(error)):
            return False
        raise
    stored = bytes(obstore.get(store, key).bytes()).decode()
    obstore.delete(store, key)
    if len(done) == 1:
        return stored == str(done[0])
    return False if done else None
