"""Shows the progress of `lakehouse demo`: bars while files land, then the runs that make tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
from lakehouse.cli.output import print_text


class DemoProgress:
    """Shows a progress bar for each table that lands files, and which tables a run is making."""

    def __init__(self) -> None:
        columns = (
            TextColumn("  landing {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        # On standard error, so that the report can go into a file or a pipe.
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def land(self, table: str, done: int, whole: int) -> None:
        """Shows how much of the files of a table has been read, in bytes."""
        # A bar appears with its first file: a table without news has none.
        if table not in self._tasks:
            self._bars.start()
            self._tasks[table] = self._bars.add_task(table, total=whole)
        self._bars.update(self._tasks[table], completed=done)

    def announce(self, tables: Sequence[str], days: Days | None) -> None:
        """Prints which tables a run is about to make."""
        # The bars move the cursor to draw themselves anew, over the lines that others print.
        self.stop()
        print_text(f"  making {', '.join(tables)}{f'  {days}' if days else ''}")

    def stop(self) -> None:
        """Leaves the bars as they are."""
        self._bars.stop()


@contextmanager
def show_progress() -> Iterator[DemoProgress]:
    """Shows the progress of a demonstration until it ends, however it ends."""
    progress = DemoProgress()
    try:
        yield progress
    finally:
        progress.stop()
