"""Turns: the steps that write one table do so one after another, whichever run and job they are of.

Writers of the same rows would not lose anything, but the slower one would start again. So they take
turns on this machine by a lock that the system gives back when a process ends, however it ends.
Pools of Dagster are not used for it: what a dead process claimed there stays claimed, and a run
that waits for a pool turns at full speed, says nothing and hears no signal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakehouse.environment import Environment
from lakehouse.storage.locks import wait_for_lock


@contextmanager
def take_turn(context: Any, here: Environment, table: str) -> Iterator[None]:  # noqa: ANN401
    """Waits until no other step writes a table, and keeps others waiting for the block's length.

    Raises:
        BusyError: another step has been writing it for ten minutes.
    """

    def tell(line: str) -> None:
        context.log.warning(line)
        here.tell(line)

    folder = Path(context.instance.root_directory) / "turns"
    folder.mkdir(exist_ok=True)
    with wait_for_lock(folder / table.replace("/", "_"), f"{table} is made", tell=tell):
        yield
