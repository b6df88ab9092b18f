"""Repeats a write when another writer was faster or the store did not answer, up to a limit."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from lakehouse.errors import BusyError, OutageError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class RetryLimits:
    """The limits of a writer's patience.

    Attributes:
        attempts: disturbed attempts after which it may give up.
        patience: seconds before which it does not: whoever disturbs an attempt has committed, so
            patient writers all succeed.
        outages: attempts without an answer from the store; its client has retried within each.
        longest_pause: seconds between two attempts.
    """

    attempts: int = 10
    patience: float = 600.0
    outages: int = 3
    longest_pause: float = 5.0


def retry_if_busy(attempt: Callable[[], _T], limits: RetryLimits | None = None) -> _T:
    """Returns the result of the first attempt that no other writer disturbs.

    An attempt starts from a fresh handle each time: committing the same files again would not see
    what changed. Whoever disturbs an attempt has committed, so several writers all succeed if they
    are patient. The number of attempts grows with the number of writers.

    Args:
        attempt: reads, writes and commits.
        limits: how long to be patient.

    Raises:
        BusyError: all of ten or more attempts were disturbed, for ten minutes or more.
        OutageError: the store did not answer in three of them.
    """
    limits = limits or RetryLimits()
    started, disturbed, outages = time.monotonic(), 0, 0
    while True:
        try:
            return attempt()
        except BusyError as error:
            disturbed, outages = disturbed + 1, outages + isinstance(error, OutageError)
            # Attempts alone are no measure: among four backfills of disjoint days, one gave up
            # after ten of them.
            is_over = time.monotonic() - started >= limits.patience
            if outages >= limits.outages or (disturbed >= limits.attempts and is_over):
                raise
            # The pause doubles, and is random so that two writers do not meet again.
            longest = min(limits.longest_pause, 0.2 * 2 ** min(disturbed - 1, 9))
            pause = random.uniform(0.1, 1) * longest  # noqa: S311
            _log.info("%s Trying again in %.1f s.", str(error).splitlines()[0], pause)
            time.sleep(pause)
