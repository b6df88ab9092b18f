"""Run again when another writer was faster, or the store did not answer; give up when it happens too often."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lakehouse.errors import BusyError, OutageError

_ATTEMPTS = 10
_PATIENCE = 600.0
_OUTAGES = 3  # the clients have waited and asked again by themselves before they said so
_LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)
T = TypeVar("T")


def retry_if_busy(attempt: Callable[[], T]) -> T:
    """The result of the first attempt that is not disturbed.

    An attempt starts from a fresh handle each time: committing the same files again would not see what changed. Whoever
    disturbs an attempt has committed. So writers that each have an end all come to it, if they are patient; how many
    attempts that takes depends on how many they are.

    Raises:
        BusyError: all of ten or more attempts were disturbed, for ten minutes or more.
        OutageError: the store did not answer in three of them.
    """
    started, disturbed, outages = time.monotonic(), 0, 0
    while True:
        try:
            return attempt()
        except BusyError as error:
            disturbed, outages = disturbed + 1, outages + isinstance(error, OutageError)
            if outages >= _OUTAGES or (
                disturbed >= _ATTEMPTS and time.monotonic() - started >= _PATIENCE
            ):
                raise
            pause = random.uniform(0.1, 1) * min(_LONGEST_PAUSE, 0.2 * 2 ** min(disturbed - 1, 9))  # noqa: S311
            _log.info("%s Trying again in %.1f s.", str(error).splitlines()[0], pause)
            time.sleep(pause)
