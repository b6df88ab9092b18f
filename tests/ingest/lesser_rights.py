"""Takes from this thread the right of root to read every file, so that permissions apply in a test."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = 0x20080522
_OVERRIDES = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def permissions_count() -> Iterator[None]:
    """Within this, `chmod 000` keeps even root out; somebody else is kept out anyway."""
    if os.geteuid() != 0:
        yield
        return
    halves = (_Half * 2)()
    _call("capget", halves)
    held = halves[0].effective
    halves[0].effective &= ~_OVERRIDES
    _call("capset", halves)
    try:
        yield
    finally:
        halves[0].effective = held
        _call("capset", halves)


def _call(name: str, halves: "ctypes.Array[_Half]") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(ctypes.byref(_Header(_VERSION, 0)), halves) != 0:
        raise OSError(ctypes.get_errno(), f"{name} failed")
