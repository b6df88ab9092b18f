"""Work in processes of their own, which are killed or run beside others.

They are forked from a server that has imported the engine: a fresh Python takes a second to import what a test then needs
for a few milliseconds.
"""

import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from campaign.children import fork, wait_for_end
from lakehouse.failpoints import KILL_AT

_LONGEST = 120.0


def start(work: Callable[..., None], *given: Any, kill_at: str | None = None) -> BaseProcess:
    """Starts a piece of work, a function of a module; it dies at a failpoint if one is named."""
    return fork(_do, kill_at, work, *given)


def code_of(process: BaseProcess) -> int:
    """Waits for a process and returns its exit code; minus the signal that killed it."""
    assert wait_for_end(process, _LONGEST), "the process does not end"
    assert process.exitcode is not None
    return process.exitcode


def run(work: Callable[..., None], *given: Any, kill_at: str | None = None) -> int:
    """Does a piece of work in a process of its own and returns the exit code."""
    return code_of(start(work, *given, kill_at=kill_at))


def _do(kill_at: str | None, work: Callable[..., None], *given: Any) -> None:
    if kill_at is not None:
        os.environ[KILL_AT] = kill_at
    work(*given)
