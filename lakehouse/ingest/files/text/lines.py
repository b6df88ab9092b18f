"""Physical lines of a plain file, in blocks of bounded size: LF, CRLF and CR each end a line.

Belongs here: where lines end, and lines that are too long for memory. Does not belong here: what a
line means.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lakehouse.ingest.limits import IngestLimits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A lone CR ends a line too. `\Z` is where a last line ends that has no end of its own.
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
_END = re.compile(rb"\r\n|\n|\r")


class Line(NamedTuple):
    """A line: its number from 1, its bytes without the end, its end, and its true size."""

    number: int
    content: bytes
    end: bytes
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether it is too long, so that `content` is only its beginning."""
        return self.size > len(self.content)

    @property
    def place(self) -> str:
        """Where it is, for a dead letter."""
        return f"line {self.number}"


class LongLine(NamedTuple):
    """A line over the limit: its beginning, its end, its true size."""

    content: bytes
    end: bytes
    size: int


Block = bytes | LongLine


def read_blocks(path: Path, limits: IngestLimits, stop: int | None = None) -> Iterator[Block]:
    """Yields a file as blocks of whole lines, and as single lines where they are too long.

    Args:
        path: the file.
        limits: the sizes of blocks and lines.
        stop: the position behind a line where reading ends; None reads to the end.
    """
    pending, long = b"", None
    with path.open("rb") as file:
        for chunk in _chunks(file, limits.block_bytes, stop):
            rest = chunk
            if long is not None:
                # Inside a long line nothing matters but where it ends.
                content, end, rest = _split_at_end(chunk)
                long = long._replace(size=long.size + len(content), end=end)
                if not end:
                    continue
                yield long
                long = None
            pending += rest
            # Whole lines only: what a block ends with would otherwise be two records.
            cut = max(pending.rfind(b"\n"), pending.rfind(b"\r")) + 1
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
            if len(pending) > limits.record_bytes:
                # From here on only the size of the line grows, not what is in memory of it.
                long, pending = LongLine(pending[: limits.head_bytes], b"", len(pending)), b""
    if long is not None:
        yield long
    if pending:
        yield pending


def _split_at_end(chunk: bytes) -> tuple[bytes, bytes, bytes]:
    """Splits a chunk into what precedes the first line end, that end (or b""), and the rest."""
    # Searches for bytes, not a pattern: half a gigabyte of one line took 2.8 s by a pattern, and
    # takes 0.3 s so.
    content, end, rest = chunk.partition(b"\n")
    if b"\r" not in content:
        return content, end, rest
    content, _, behind = content.partition(b"\r")
    is_both = not behind and bool(end)
    return content, b"\r\n" if is_both else b"\r", rest if is_both else behind + end + rest


def find_last_lines(path: Path, count: int) -> int | None:
    """Returns the position in a file at which its last lines begin; 0 if it has no more lines.

    Returns:
        None if `count` is 0.
    """
    if not count:
        return None
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        position = len(content)
        for _ in range(count):
            stop = position - 1
            # The end of the line itself; a CR and its LF are one.
            if content[max(0, position - 2) : position] == b"\r\n":
                stop -= 1
            # The later of the two kinds of end; the second search is only of what lies behind it.
            feed = content.rfind(b"\n", 0, max(0, stop))
            position = max(feed, content.rfind(b"\r", max(0, feed), max(0, stop))) + 1
            if not position:
                break
        return position


def _chunks(file: BinaryIO, size: int, stop: int | None) -> Iterator[bytes]:
    """Yields chunks that never separate a CR from its LF."""
    carry = b""
    while chunk := carry + file.read(size):
        if stop is not None:
            begin = file.tell() - len(chunk)
            if begin >= stop:
                return
            chunk = chunk[: stop - begin]
        # An LF that came in the next chunk would count as a blank line.
        carry = file.read(1) if chunk.endswith(b"\r") else b""
        if carry == b"\n":
            chunk, carry = chunk + carry, b""
        yield chunk


def split_lines(block: Block, first: int, limits: IngestLimits) -> Iterator[Line]:
    """Yields the lines of a block, numbered from `first`; lines over the limit are cut."""
    if isinstance(block, LongLine):
        yield Line(first, *block)
        return
    for number, found in enumerate(_LINE.finditer(block), first):
        content, end = found.groups()
        # A long line that came whole within a block is cut as well: the size of blocks must not
        # decide what a dead letter holds.
        if len(content) > limits.record_bytes:
            yield Line(number, content[: limits.head_bytes], end, len(content))
        # The pattern also matches nothing at the end of the block: that is no line.
        elif content or end:
            yield Line(number, content, end, len(content))


def split_block(block: bytes, size: int) -> Iterator[bytes]:
    """Yields a block in pieces of whole lines, of about `size` bytes each."""
    start = 0
    while start < len(block):
        # A search that begins between a CR and its LF finds the LF, which ends the same line.
        found = _END.search(block, min(start + size, len(block)))
        end = found.end() if found else len(block)
        yield block[start:end]
        start = end


def count_lines(block: bytes) -> int:
    """Counts the lines of a block."""
    ends = block.count(b"\n")
    if b"\r" in block:
        ends += block.count(b"\r") - block.count(b"\r\n")
    return ends + (0 if not block or block.endswith((b"\n", b"\r")) else 1)
