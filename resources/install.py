"""`python -m resources.install <venv> [dev]`: installs this checkout, and says what it does.

It needs the standard library alone, because nothing is installed yet. On a terminal, one line shows
the step, its seconds, and the package that pip is at. A step that has ended is a line with its
seconds.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_STEP = re.compile(r"(Collecting|Downloading|Building|Installing|Using cached|Preparing)\b.*")
_NAMED = 60  # characters of a line of pip that are shown
_TURN = 0.2  # seconds


class Step:
    """A command that runs, and the line that shows it."""

    def __init__(self, title: str) -> None:
        self.title, self.detail, self._since = title, "", time.monotonic()

    def run(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """Runs the command.

        Raises:
            SystemExit: it failed; what it said is printed.
        """
        if not sys.stdout.isatty():
            print(f"  {self.title} …", flush=True)  # noqa: T201
        process = subprocess.Popen(  # noqa: S603
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said: list[str] = []
        reader = threading.Thread(target=self._read, args=(process, said), daemon=True)
        reader.start()
        while reader.is_alive():
            reader.join(_TURN)
            if sys.stdout.isatty():
                self._draw()
        if code := process.wait():
            print(f"\n{''.join(said)}", file=sys.stderr)  # noqa: T201
            sys.exit(code)
        before = "\r\x1b[2K" if sys.stdout.isatty() else ""
        print(f"{before}  {self.title}  ({self._seconds:.0f} s)", flush=True)  # noqa: T201

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._since

    def _read(self, process: "subprocess.Popen[str]", said: list[str]) -> None:
        for line in process.stdout or ():
            said.append(line)
            if found := _STEP.search(line):
                self.detail = found[0]

    def _draw(self) -> None:
        width = min(os.get_terminal_size().columns - 1, len(self.title) + 12 + _NAMED)
        line = f"  {self.title}  {self._seconds:.0f} s  {self.detail}"
        sys.stdout.write(f"\r\x1b[2K{line[:width]}")
        sys.stdout.flush()


def install(venv: Path, extras: Sequence[str]) -> None:
    """Creates the virtual environment if there is none, and installs this checkout into it."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    python = venv / "bin" / "python"
    if not python.exists():
        Step(f"creating {venv}").run([sys.executable, "-m", "venv", str(venv)], environment)
    what = f".[{','.join(extras)}]" if extras else "."
    title = "installing the tools of tests and checks" if extras else "installing the packages"
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    options = ["--progress-bar", "off", "--constraint", "constraints.txt", "--editable", what]
    Step(title).run([*pip, *options], environment)


if __name__ == "__main__":
    install(Path(sys.argv[1]), sys.argv[2:])
