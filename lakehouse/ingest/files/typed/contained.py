"""Reads a file in a process of its own, where the library may crash, hang or want all memory.

Belongs here: starting such a process, what it may take, and what its end says of the file. Does not
belong here: how a format is read (`excel_process.py`, `typed_process.py`).

One cell at the end of a sheet made a library ask for 512 GiB, and the process ended with it. Here
such a file is refused and the landing goes on.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakehouse.ingest.files.record_ledger import RefusedError
from lakehouse.ingest.limits import IngestLimits
from lakehouse.redaction import redact

# What a library takes for its threads and buffers, however small the file is.
_LEAST_BYTES = 512 << 20
_MOST_CHARACTERS = 500
_NO_MEMORY = ("memory allocation of", "MemoryError", "bad_alloc", "malloc of size", "out of memory")


class ReaderError(Exception):
    """What a library said of a file, in its process; never leaves this module."""


def need_packages(extra: str, packages: Mapping[str, str]) -> None:
    """Checks that the packages of an extra are there.

    Args:
        extra: the name of the extra.
        packages: the packages by the names under which they are imported.

    Raises:
        RefusedError: some are missing.
    """
    missing = [name for module, name in packages.items() if not _is_installed(module)]
    if missing:
        raise RefusedError(
            f"packages that read this format are missing: {', '.join(missing)}; "
            f"run: pip install 'lakehouse[{extra}]'"
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False


def read_contained(
    module: str, request: Mapping[str, Any], path: Path, limits: IngestLimits
) -> Iterator[Any]:
    """Yields what a module says of a file, which it reads in a process of its own.

    Args:
        module: the module to run; it calls `serve` of `reader_process.py`.
        request: what it is asked, as JSON holds it.
        path: the file.
        limits: what the process may take.

    Raises:
        OSError: the disk is full.
        RefusedError: the module refuses the file, or its process crashed, hung or took too much.
    """
    size = path.stat().st_size
    memory = min(limits.reader_bytes, _LEAST_BYTES + size * limits.ratio)
    asked = {**request, "path": str(path), "memory": memory, "seconds": limits.reader_seconds}
    command = [sys.executable, "-P", "-m", module]
    root = str(Path(__file__).parents[3])
    paths = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as question:
        question.write(json.dumps(asked).encode())
        question.seek(0)
        process = subprocess.Popen(  # noqa: S603, the command is our own
            command,
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": paths, "RUST_BACKTRACE": "0"},
        )
        is_late = threading.Event()
        watch = threading.Timer(limits.reader_seconds, _end, (process, is_late))
        watch.start()
        try:
            yield from _list_answers(process)
            process.wait()
        finally:
            watch.cancel()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if process.returncode:
            errors.seek(0)
            said = errors.read(1 << 16).decode(errors="replace")
            raise RefusedError(_explain(process.returncode, said, memory, limits, is_late.is_set()))


def _end(process: "subprocess.Popen[bytes]", is_late: threading.Event) -> None:
    is_late.set()
    process.kill()


def _list_answers(process: "subprocess.Popen[bytes]") -> Iterator[Any]:
    assert process.stdout is not None  # noqa: S101, it is a pipe
    for line in process.stdout:
        if not line.endswith(b"\n"):
            return  # cut off with its process, whose end is looked at next
        answer = json.loads(line)
        if isinstance(answer, dict):
            if "disk" in answer:
                raise OSError(answer["disk"], os.strerror(answer["disk"]))
            if "refused" in answer:
                raise RefusedError(answer["refused"])
            if "damaged" in answer:
                said = redact(ReaderError(answer["damaged"]))[:_MOST_CHARACTERS]
                raise RefusedError(f"damaged, or no file of this format: {said}")
        yield answer


def _explain(code: int, said: str, memory: int, limits: IngestLimits, is_late: bool) -> str:  # noqa: FBT001
    if is_late or code == -signal.SIGXCPU:
        return (
            f"reading took longer than {limits.reader_seconds:,} seconds (reader_seconds): the "
            "file is too large or damaged; split it, or deliver it as CSV"
        )
    if any(word in said for word in _NO_MEMORY):
        return (
            f"reading needs more than {memory:,} bytes of memory "
            f"(reader_bytes {limits.reader_bytes:,}, ratio {limits.ratio}): the file is too large "
            "or damaged; split it, or deliver it as CSV or Parquet"
        )
    return (
        f"damaged: reading it ended the process of the reader with {code}; "
        "write the file again, or deliver it as CSV or Parquet"
    )
