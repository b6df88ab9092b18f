"""Shows the progress of `lakehouse demo`: what it does right now, and how long each step took."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from lakehouse.calendar import Days
from lakehouse.cli.output import print_paragraph, write_over
from lakehouse.wording import format_count

_SIGNS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURN = 0.1  # seconds


class Spinner:
    """A line on standard error that says what is under way, and for how long.

    It draws nothing unless standard error is a terminal.
    """

    def __init__(self, text: str) -> None:
        self._text, self._since = text, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)
        if sys.stderr.isatty():
            self._thread.start()

    def stop(self) -> float:
        """Takes the line away; returns the seconds since it came."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
            write_over("")
        return time.monotonic() - self._since

    def _draw(self) -> None:
        for sign in cycle(_SIGNS):
            write_over(f"{sign} {self._text}  {time.monotonic() - self._since:.0f} s")
            if self._ended.wait(_TURN):
                return


class DemoProgress:
    """Shows the step that is under way, a bar for each table that lands files, and past steps.

    What moves is on standard error, and only on a terminal. The line of a step that has ended is on
    standard output, with the seconds that it took.
    """

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("  landing {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._step: tuple[str, Spinner] | None = None

    def land(self, table: str, done: int, whole: int) -> None:
        """Shows how much of the files of a table has been read, in bytes."""
        # A bar appears with its first file: a table without news has none.
        if table not in self._tasks:
            self.end_step()
            self._bars.start()
            self._tasks[table] = self._bars.add_task(table, total=whole)
        self._bars.update(self._tasks[table], completed=done)

    def announce(self, tables: Sequence[str], days: Days | None) -> None:
        """Begins the step of a run that makes tables."""
        text = f"making {', '.join(tables)}{f'  {days}' if days else ''}"
        self.begin_step(text, f"making {format_count(len(tables), 'table')}")

    def begin_step(self, text: str, short: str | None = None) -> None:
        """Ends the step before, and begins another one.

        Args:
            text: what the step does; its line when it has ended.
            short: the same in a few words, for a narrow terminal.
        """
        # The bars move the cursor to draw themselves anew, over the lines that others print.
        self.stop()
        self._step = text, Spinner(short or text)

    def end_step(self) -> None:
        """Prints the line of the step that is under way, if there is one."""
        if self._step is not None:
            text, spinner = self._step
            self._step = None
            print_paragraph(f"  {text}  ({spinner.stop():.1f} s)", indent=4)

    def stop(self) -> None:
        """Ends what is under way, and leaves it as it is on the screen."""
        self._bars.stop()
        self.end_step()


@contextmanager
def show_progress() -> Iterator[DemoProgress]:
    """Shows the progress of a demonstration until it ends, however it ends."""
    progress = DemoProgress()
    try:
        yield progress
    finally:
        progress.stop()
