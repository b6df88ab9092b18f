"""Guards that keep two writers from losing each other's commits.

In a folder, creating a file that exists fails, so there is nothing to do. A bucket must support
put-if-absent. Without it only one machine may write to the lake, and its processes take turns.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import BusyError
from lakehouse.storage.lake import Lake
from lakehouse.storage.locks import wait_for_lock
from lakehouse.storage.put_if_absent import prove_put_if_absent
from lakehouse.storage.revision import Revision


def check_writable(lake: Lake) -> None:
    """Refuses a bucket in which several writers would lose commits.

    Raises:
        SetupError: the store does not support put-if-absent.
        OutageError: the store does not answer.
    """
    if not lake.is_local and not lake.single_writer:
        prove_put_if_absent(lake.root, lake.options)


@contextmanager
def lock_for_commit(lake: Lake, table: str, base: Revision | None) -> Iterator[None]:
    """Makes the processes of a single writer commit one after another.

    Args:
        lake: where the table is.
        table: the table to commit to.
        base: the revision that the commit is based on; None for a table that does not exist yet.

    Raises:
        BusyError: the table has another revision by now.
    """
    if lake.is_local or not lake.single_writer:
        yield
        return
    # One lock for a lake. Its name is a hash, as a URI cannot be the name of a file.
    digest = hashlib.sha256(lake.root.encode()).hexdigest()[:16]
    purpose = f"{table}: a commit to {lake.root} is made"
    with wait_for_lock(Path(tempfile.gettempdir(), f"lakehouse-{digest}.lock"), purpose):
        # Compared under the lock: the store would let this commit overwrite one made meanwhile.
        if lake.revision(table) != base:
            raise BusyError(f"{table}: another writer committed first.\nNext: run again.")
        yield
