"""Run again when another writer was faster; give up when it happens too often."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lakehouse.errors import BusyError

_ATTEMPTS = 10
_LONGEST_PAUSE = 5.0
_log = logging.getLogger(__name__)
T = TypeVar("T")


def retrying(attempt: Callable[[], T]) -> T:
    """The result of the first attempt that no other writer disturbs.

    An attempt starts from a fresh handle each time: committing the same files again would not see what changed.

    Raises:
        BusyError: ten attempts were disturbed.
    """
    for number in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except BusyError as error:
            pause = random.uniform(0.1, 1) * min(_LONGEST_PAUSE, 0.2 * 2**number)  # noqa: S311
            _log.info("%s Trying again in %.1f s.", str(error).splitlines()[0], pause)
            time.sleep(pause)
    return attempt()
