"""Work in child processes, which may be killed at any moment.

They are forked from a server that has imported everything and started nothing, so a child starts at
once.
"""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lakehouse.failpoints import KILL_AT
from lakehouse.storage.limits import WriteLimits

KILLED = -9

SMALL_LIMITS = WriteLimits(
    many_files=3,
    many_files_in_partition=2,
    entries_per_archive_file=2,
    commits_per_checkpoint=2,
)
"""Limits of the campaign: most commits compact small files and archive log entries."""

_LONGEST = 300.0
_turn = threading.Lock()
"""Held while a child is started or its exit code is read.

Multiprocessing reads an exit code from a pipe, which holds it only once, and polls all children
whenever one is started. Of two threads that poll at the same time, one finds the pipe empty and
reports 255.
"""


@dataclass(frozen=True)
class Ended:
    """How a piece of work ended.

    Attributes:
        code: 0, or the exit code; minus the signal that killed it.
        seconds: how long it took.
        is_hung: whether it was still working when its time was over.
        errors: the end of what it wrote to standard error.
    """

    code: int
    seconds: float
    is_hung: bool
    errors: str


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            *("campaign.formats", "campaign.kill", "campaign.landings"),
            *("campaign.s3", "campaign.writers"),
        ]
    )
    return context


def start(
    folder: Path,
    work: Callable[..., None],
    *given: Any,  # noqa: ANN401
    kill_at: str | None = None,
) -> BaseProcess:
    """Starts work on a world; its output and its temporary files stay in the folder."""
    return fork(_alone, folder, kill_at, work, *given)


def fork(work: Callable[..., None], *given: Any) -> BaseProcess:  # noqa: ANN401
    """Starts work as it is: nothing is tuned or redirected for it."""
    process = _context().Process(target=work, args=given)
    with _turn:
        process.start()
    return process


def wait_for_end(process: BaseProcess, seconds: float | None = None) -> bool:
    """Returns whether a child has ended after some seconds; safe for several threads."""
    if not wait([process.sentinel], seconds):
        return False
    with _turn:
        process.join()
    return True


def run(
    folder: Path,
    work: Callable[..., None],
    *given: Any,  # noqa: ANN401
    kill_at: str | None = None,
    kill_after: float | None = None,
    longest: float = _LONGEST,
) -> Ended:
    """Does work in a child and kills it: at a failpoint, after some seconds, or when it hangs."""
    started, process = time.monotonic(), start(folder, work, *given, kill_at=kill_at)
    is_late = not wait_for_end(process, longest if kill_after is None else kill_after)
    if is_late:
        process.kill()
        wait_for_end(process)
    code = -1 if process.exitcode is None else process.exitcode
    return Ended(
        code, time.monotonic() - started, is_late and kill_after is None, read_output(folder)
    )


def read_output(folder: Path) -> str:
    """Returns the end of what the children of a world wrote to standard error."""
    path = folder / "said.txt"
    return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def _alone(
    folder: Path,
    kill_at: str | None,
    work: Callable[..., None],
    *given: Any,  # noqa: ANN401
) -> None:
    spool = folder / "tmp"
    spool.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(spool)
    target = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 1)
    os.dup2(target, 2)
    if kill_at is not None:
        os.environ[KILL_AT] = kill_at
    work(folder, *given)
