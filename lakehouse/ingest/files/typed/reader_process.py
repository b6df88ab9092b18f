"""The inside of a process that reads one file: what it is asked, what it may take, what it answers.

Belongs here: what all such processes do. Does not belong here: how they are started
(`contained.py`). It imports nothing large, because each file waits for it.
"""

import errno
import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any


class CannotReadError(Exception):
    """A file that is refused; the message is told as it is."""


def serve(read: Callable[[dict[str, Any]], Iterator[Any]]) -> None:
    """Answers the question on standard input by lines of JSON on standard output.

    Args:
        read: yields the answers; what it needs was imported before.
    """
    asked = json.load(sys.stdin)
    _confine(asked["memory"], asked["seconds"])
    sys.excepthook = _tell
    out = sys.stdout.buffer
    for answer in read(asked):
        out.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode())
        out.write(b"\n")
    out.flush()


def _tell(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Answers by the error that ends this process; a panic of Rust is one too."""
    answer: dict[str, Any] = {"damaged": str(error) or kind.__name__}
    if isinstance(error, CannotReadError):
        answer = {"refused": str(error)}
    elif isinstance(error, MemoryError):
        sys.stderr.write("MemoryError\n")
        return
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        answer = {"disk": error.errno}
    elif "No space left" in str(error):
        answer = {"disk": errno.ENOSPC}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _confine(memory: int, seconds: int) -> None:
    """Confines this process to some more bytes of memory than it has, and to some seconds.

    It is called after the imports, because libraries reserve much more than they use.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    figures = Path("/proc/self/statm")
    if figures.exists():  # macOS has neither these figures nor such a limit
        most = int(figures.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
