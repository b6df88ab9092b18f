"""What the system tells of bytes that are written, which depends on where they are written to."""

from pathlib import Path

from bench.measure import written_bytes

_MIB = 2**20


def at_least(mib: int, folder: Path) -> int:
    """How many MiB the system is sure to tell of so many that are written to a folder: none of one in memory."""
    before = written_bytes()
    (folder / "probe").write_bytes(bytes(_MIB))
    (folder / "probe").unlink()
    return mib if written_bytes() - before >= _MIB else 0
