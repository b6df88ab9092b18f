"""`lakehouse-ui`: Dagster's UI with its daemon, in place of `dagster dev`.

`dagster dev` starts its web server by a fixed name, so the request guard cannot be put before it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from lakehouse.errors import LakehouseError
from lakehouse.orchestration.code_servers import CodeServerWatch
from lakehouse.project.data_locks import set_up_storage
from lakehouse.project.settings import find_dagster_home, load_settings

_GRACE = 1.5  # seconds in which the services may end by themselves
_POLL = 0.1


@click.command(help="Serve Dagster's UI with its daemon, for this machine alone by default.")
@click.option(
    "--workspace", "-w", default="workspace.yaml", show_default=True, help="What to load."
)
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", "-p", default=3000, show_default=True, help="Where to listen.")
def main(workspace: str, host: str, port: int) -> None:
    """Runs the web server and the daemon until one of them ends or a signal asks for the end."""
    if not Path(workspace).is_file():
        raise click.UsageError(
            f"There is no {workspace} here. Call this in the folder of your project, or name it."
        )
    try:
        home = find_dagster_home(load_settings())
        # The services would set a fresh folder up at the same time.
        set_up_storage(home)
    except LakehouseError as error:
        sys.exit(str(error))
    os.environ["DAGSTER_HOME"] = str(home)
    daemon = str(Path(sys.executable).with_name("dagster-daemon"))
    server = (sys.executable, "-m", "lakehouse.orchestration.web_server")
    sys.exit(
        run_services(
            [
                [*server, "--workspace", workspace, "--host", host, "--port", str(port)],
                [daemon, "run", "--workspace", workspace],
            ]
        )
    )


def run_services(commands: Sequence[Sequence[str]]) -> int:
    """Runs programs beside each other; when one ends, or a signal comes, all of them end.

    A program whose code server was killed is started again.

    Returns:
        The exit code: 0 after a signal, else that of the program that ended.
    """
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    services = [subprocess.Popen(command) for command in commands]  # noqa: S603 - fixed programs
    watches = [CodeServerWatch(service.pid) for service in services]
    try:
        while not asked and all(service.poll() is None for service in services):
            time.sleep(_POLL)
            for place, watch in enumerate(watches):
                if watch.has_lost_all():
                    name = Path(commands[place][0]).name
                    click.echo(f"The code server of {name} was killed; starting {name} again.")
                    _end([services[place]])
                    services[place] = subprocess.Popen(commands[place])  # noqa: S603 - as above
                    watches[place] = CodeServerWatch(services[place].pid)
        codes = [service.returncode for service in services if service.returncode is not None]
    finally:
        _end(services)
    return 0 if asked else max(map(abs, codes), default=0) or 1


def _end(services: Sequence[subprocess.Popen[bytes]]) -> None:
    for service in services:
        service.terminate()
    deadline = time.monotonic() + _GRACE
    for service in services:
        try:
            service.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


if __name__ == "__main__":
    main()
