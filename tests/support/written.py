"""What the system reports of written bytes, which depends on the file system."""

from pathlib import Path

from bench.measure import written_bytes

_MIB = 2**20


def at_least(mib: int, folder: Path) -> int:
    """Returns how many of some written MiB the system must report for a folder: none for one in memory."""
    before = written_bytes()
    (folder / "probe").write_bytes(bytes(_MIB))
    (folder / "probe").unlink()
    return mib if written_bytes() - before >= _MIB else 0
