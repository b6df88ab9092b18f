"""Text in any encoding as UTF-8, so that the readers of text know only one encoding.

Belongs here: the copy as UTF-8, and the way back from a part of it to the delivered bytes. Does not
belong here: what the text means.

A byte that cannot be decoded becomes three bytes that are no valid UTF-8: those of a surrogate
U+DC00 plus the byte. So a reader makes a dead letter of its record, and the byte is not lost.
"""

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError

_CHUNK = 1 << 20
_HEAD = 1 << 16
_SURROGATES = 0xDC00
_KEEP = "lakehouse_keep"
_KEPT = re.compile("([\udc00-\udcff]+)")
_UTF_8 = frozenset({"utf-8", "utf-8-sig"})
_MARKS = {
    "utf-8": (codecs.BOM_UTF8,),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
_NEXT_LINE = "\x85"


def _keep(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    # Slicing keeps bytes of every value, also below 0x80, as the second one of a broken pair has.
    kept = error.object[error.start : error.end]
    return "".join(chr(_SURROGATES + byte) for byte in kept), error.end


codecs.register_error(_KEEP, _keep)


@dataclass(frozen=True)
class Transcoding:
    """How the text of a file was decoded.

    Attributes:
        codec: the encoding, with its byte order.
        swaps_next_line: whether U+0085 ends its lines, as on mainframes; it is an LF in the copy.
    """

    codec: str
    swaps_next_line: bool

    @property
    def is_exact(self) -> bool:
        """Whether `encode` gives the delivered bytes, however they spell a character."""
        return self.codec.startswith(("utf-16", "utf-32")) or _is_single_byte(self.codec)

    def decode(self, decoder: codecs.IncrementalDecoder, chunk: bytes, *, is_last: bool) -> bytes:
        """Returns the next part of the copy."""
        text = decoder.decode(chunk, is_last)
        return self._swap(text).encode("utf-8", "surrogatepass")

    def encode(self, part: bytes) -> bytes:
        """Returns the delivered bytes of a part of the copy, which may be cut within a character.

        Of an encoding with several spellings of one character it is the usual one.
        """
        text = codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(part)
        pieces = _KEPT.split(self._swap(text))
        return b"".join(
            bytes(ord(one) - _SURROGATES for one in piece)
            if index % 2
            else piece.encode(self.codec, "replace")
            for index, piece in enumerate(pieces)
        )

    def _swap(self, text: str) -> str:
        if not self.swaps_next_line:
            return text
        return text.translate({0x85: 0x0A, 0x0A: 0x85})


@contextmanager
def decoded(path: Path, encoding: str, ledger: RecordLedger) -> Iterator[Path]:
    """Yields the path of a file as UTF-8; the copy, if one is needed, is removed afterwards.

    The ledger gives dead letters the delivered bytes back.

    Args:
        path: the file as it is delivered, unpacked.
        encoding: the declared encoding.
        ledger: what takes its records.

    Raises:
        RefusedError: the file is in another encoding.
    """
    name = codecs.lookup(encoding).name
    if name in _UTF_8:
        yield path
        return
    copy = path.with_name(f"{path.name}.utf8")
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            transcoding = _open_transcoding(source, name)
            is_other = _copy(source, target, transcoding)
        if is_other:
            raise RefusedError(
                f"{encoding} is declared, and the whole file is valid UTF-8 with letters beyond "
                'ASCII. Next: declare files=Files(encoding="utf-8")'
            )
        ledger.restore_payload = transcoding.encode
        # Where a character has several spellings, the lake keeps the whole file beside its letters.
        ledger.keeps_file = not transcoding.is_exact
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _copy(source: BinaryIO, target: BinaryIO, transcoding: Transcoding) -> bool:
    """Writes a file as UTF-8, and returns whether it was UTF-8 already, against its declaration."""
    decoder = codecs.getincrementaldecoder(transcoding.codec)(_KEEP)
    # Any bytes are valid in an encoding of one byte a character: only this tells the wrong one.
    other = codecs.getincrementaldecoder("utf-8")() if _is_single_byte(transcoding.codec) else None
    has_letters = False
    while True:
        chunk = source.read(_CHUNK)
        if other is not None:
            try:
                other.decode(chunk, not chunk)
            except UnicodeDecodeError:
                other = None
        has_letters |= not chunk.isascii()
        target.write(transcoding.decode(decoder, chunk, is_last=not chunk))
        if not chunk:
            return other is not None and has_letters and not _is_ebcdic(transcoding.codec)


def _open_transcoding(source: BinaryIO, name: str) -> Transcoding:
    """Returns how a file is decoded, and leaves it at its first byte of text."""
    head = source.read(_HEAD)
    for family, marks in _MARKS.items():
        found = next((mark for mark in marks if head.startswith(mark)), None)
        # In an encoding of mainframes these bytes are letters.
        if found is None or _is_ebcdic(name):
            continue
        if not name.startswith(family):
            raise RefusedError(
                f"{name} is declared, and the file begins with the byte order mark of {family}. "
                f'Next: declare files=Files(encoding="{family}")'
            )
        source.seek(len(found))
        order = "le" if found == marks[0] else "be"
        return Transcoding(f"{family}-{order}" if name == family else name, False)
    source.seek(0)
    if name.startswith(("utf-16", "utf-32")) and b"\0" not in head:
        # Separators and line ends have a zero byte there; this text would land as other letters.
        raise RefusedError(
            f"{name} is declared, and the file has neither its mark nor a zero byte. "
            "Next: declare the encoding that it has, or none if it is UTF-8"
        )
    if name in ("utf-16", "utf-32"):
        # Without a mark, the zeros of Latin letters tell the order of bytes.
        is_big = (
            head[0::2].count(0) > head[1::2].count(0) if name == "utf-16" else head[:1] == b"\0"
        )
        return Transcoding(f"{name}-{'be' if is_big else 'le'}", False)
    text = codecs.getincrementaldecoder(name)(_KEEP).decode(head)
    return Transcoding(name, _is_ebcdic(name) and _NEXT_LINE in text and "\n" not in text)


def _is_ebcdic(name: str) -> bool:
    return "0".encode(name) == b"\xf0"


def _is_single_byte(name: str) -> bool:
    """Returns whether each byte is a character, or none, whatever stands beside it."""
    every = bytes(range(256))
    return len(every.decode(name, "replace")) == len(every)
