"""Undoing gzip, bzip2, xz and Zstandard, a bounded piece at a time.

Belongs here: the streams. Does not belong here: how a packing is recognised (`packing.py`), and how
much may come out of it (`unpack.py`).
"""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from lakehouse.ingest.files.record_ledger import RefusedError

_CHUNK = 1 << 20
_MEMORY = 128 << 20
"""Bytes that a stream may ask for to be unpacked; `xz -9` and `zstd --ultra` need less.

The header of a small file may ask for 4 GiB."""

# A block of Zstandard takes four bytes and gives 128 KiB, so a piece of this size gives 32 MiB.
_ZSTD_PIECE = 1 << 10


class _Frame(Protocol):
    """One frame of a stream: what gzip calls a member and xz a stream."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Coder(Protocol):
    """What unpacks one frame; the interface of the standard library's coders and of zstandard's."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...  # zstandard's has none

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _GzipFrame:
    def __init__(self) -> None:
        # 31 is gzip's header and trailer around the largest window, so zlib compares the checksums.
        self._coder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._coder.eof

    @property
    def unused_data(self) -> bytes:
        return self._coder.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self.eof:
            # At most a chunk comes out at once: a megabyte of gzip may hold a gigabyte.
            yield self._coder.decompress(data, _CHUNK)
            data = self._coder.unconsumed_tail
        # zlib may hold back output that did not fit into the last chunk.
        while not self.eof and (plain := self._coder.decompress(b"", _CHUNK)):
            yield plain


class _CoderFrame:
    """A frame of one of the coders of the standard library that share their interface."""

    def __init__(self, coder: _Coder) -> None:
        self._coder = coder

    @property
    def eof(self) -> bool:
        return self._coder.eof

    @property
    def unused_data(self) -> bytes:
        return self._coder.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._coder.decompress(data, _CHUNK)
        while not self._coder.eof and not self._coder.needs_input:
            yield self._coder.decompress(b"", _CHUNK)


class _ZstandardFrame:
    """A frame that the package `zstandard` reads; it gives all that comes out of its input."""

    def __init__(self, coder: _Coder) -> None:
        self._coder = coder
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._coder.eof

    @property
    def unused_data(self) -> bytes:
        return self._coder.unused_data + self._rest

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_PIECE):
            stop = start + _ZSTD_PIECE
            yield self._coder.decompress(data[start:stop])
            if self._coder.eof:
                self._rest = data[stop:]
                return


def _begin_zstd() -> tuple[Callable[[], _Frame], tuple[type[Exception], ...]]:
    """Returns what begins a frame of Zstandard, and the errors of a damaged one."""
    try:
        # In the standard library since Python 3.14.
        library: Any = importlib.import_module("compression.zstd")
        return lambda: _CoderFrame(library.ZstdDecompressor()), (library.ZstdError,)
    except ImportError:
        pass
    try:
        library = importlib.import_module("zstandard")
    except ImportError as error:
        raise RefusedError(
            "packed with Zstandard, which needs a package: pip install 'lakehouse[zstd]'"
        ) from error
    decompressor = library.ZstdDecompressor(max_window_size=_MEMORY)
    return lambda: _ZstandardFrame(decompressor.decompressobj()), (library.ZstdError, MemoryError)


_STREAMS: Mapping[str, tuple[Callable[[], _Frame], tuple[type[Exception], ...]]] = {
    "gzip": (_GzipFrame, (zlib.error,)),
    # bzip2 has an `OSError` without a number for damaged bytes.
    "bzip2": (lambda: _CoderFrame(bz2.BZ2Decompressor()), (OSError, ValueError)),
    "xz": (
        lambda: _CoderFrame(lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY)),
        (lzma.LZMAError,),
    ),
}
COMPRESSIONS = (*_STREAMS, "zstd")
"""The compressions that are undone."""


def decompress(source: BinaryIO, kind: str) -> Iterator[bytes]:
    """Yields the content of a compressed file of one frame or several.

    Args:
        source: the file.
        kind: one of `COMPRESSIONS`.

    Raises:
        RefusedError: the stream is cut off or damaged, or a package is missing.
        OSError: the file cannot be read.
    """
    begin, errors = _begin_zstd() if kind == "zstd" else _STREAMS[kind]
    frame, done = begin(), 0
    while data := source.read(_CHUNK):
        try:
            while data:
                if frame.eof:
                    data = data.lstrip(b"\0")  # padding, as from tapes; gzip ignores it too
                    if not data:
                        break
                    frame = begin()
                for plain in frame.feed(data):
                    done += len(plain)
                    yield plain
                data = frame.unused_data if frame.eof else b""
        except errors as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RefusedError(
                f"{kind} stream is damaged somewhere after {done:,} bytes: {error}"
            ) from error
    # A file that was cut off is refused: what arrived would land as a shorter file without a word.
    if not frame.eof:
        raise RefusedError(f"{kind} stream ends early after {done:,} bytes")
