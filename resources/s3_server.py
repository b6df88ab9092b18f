"""An S3 API server for trying out, on a free loopback port: moto's, with queues and secrets too.

It is in memory, and takes any credentials. It is a process of its own, this module as a program,
which ends when its standard input ends: it never outlives the process that started it.
"""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock, Thread
from typing import Any


@contextmanager
def run_server() -> Iterator[str]:
    """Yields the URL of a new server, which ends with the block or with this process."""
    command = [sys.executable, str(Path(__file__).resolve())]
    # A session of its own, because Ctrl-C in a terminal goes to each process of the session.
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Serves until standard input ends."""
    # Only this process needs them; they are tools of tests, as `make test` installs them.
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto, one_at_a_time = DomainDispatcherApplication(create_backend_app), Lock()

    def app(asked: dict[str, Any], answer: Callable[..., object]) -> Iterable[bytes]:
        # moto checks whether an object exists and puts it in two steps; another writer could get in
        # between.
        with one_at_a_time if "HTTP_IF_NONE_MATCH" in asked else nullcontext():
            content: Iterable[bytes] = moto(asked, answer)
            return content

    server = make_server("127.0.0.1", 0, app, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
