"""Put-if-absent: the one condition that a bucket must support so that two writers collide.

A commit is a file of the log that must not exist yet. A store that ignores this condition lets the
later of two writers overwrite the commit of the earlier one, and nobody notices. So the store is
tested before anything is written to it.
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

_WRITERS = 4  # at once: a store with a race lets two of them win
_TRIES = 3  # an answer that was lost proves nothing, so the test is repeated
_NOT_IMPLEMENTED = re.compile(r"\b501\b|NotImplemented")


def prove_put_if_absent(root: str, options: Mapping[str, str]) -> None:
    """Checks once in a process that a bucket supports put-if-absent.

    Several writers put the same small object, which is removed again.

    Raises:
        SetupError: the store lets more than one writer succeed, or does not know the condition.
        OutageError: the store does not answer.
    """
    _prove_once(root, tuple(sorted(options.items())))


# Only a proof is cached: after an error, the next call tests the store again.
@cache
def _prove_once(root: str, options: tuple[tuple[str, str], ...]) -> None:
    store = open_store(root, dict(options))
    with translate_store_errors(root, dict(options)):
        for _ in range(_TRIES):
            is_proved = _lets_one_writer_win(store, f"_put_if_absent/{uuid4()}")
            if is_proved is not None:
                break
    if is_proved is None:
        raise OutageError(
            f"{root} left too many requests unanswered to prove put-if-absent.\n"
            "Next: run again when it answers."
        )
    if not is_proved:
        raise SetupError(
            f"{root}: the store overwrites an object although it was asked not to "
            "(If-None-Match: *), so two writers would lose commits.\n"
            "Next: use a store that supports this header, or let only one machine write and set "
            "LAKEHOUSE_SINGLE_WRITER=true on it."
        )


def _lets_one_writer_win(store: ObjectStore, key: str) -> bool | None:
    """Returns whether one of several writers puts an object; None when answers were lost."""

    def put(number: int) -> bool:
        try:
            obstore.put(store, key, str(number).encode(), mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return False
        return True

    try:
        with ThreadPoolExecutor(_WRITERS) as writers:
            outcomes = list(writers.map(put, range(_WRITERS)))
    except obstore.exceptions.BaseError as error:
        if _NOT_IMPLEMENTED.search(str(error)):
            return False
        raise
    winners = [number for number, is_winner in enumerate(outcomes) if is_winner]
    stored = bytes(obstore.get(store, key).bytes()).decode()
    obstore.delete(store, key)
    # A store may refuse a writer and still keep what it sent.
    if len(winners) == 1:
        return stored == str(winners[0])
    # With no winner, the answer to the one that won was lost, and it was refused when it asked
    # again.
    return False if winners else None
