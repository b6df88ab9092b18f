"""The encoding of an XML file: what its first bytes and its declaration say."""

import codecs
import re
from typing import NamedTuple

from lakehouse.ingest.files.record_ledger import RefusedError

_DECLARED = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]*)["']""")
_BLANK_START = re.compile(rb"[ \t\r\n]+(?=<\?xml\s)")
_UTF_8 = frozenset({"utf-8", "utf-8-sig", "ascii"})
_WIDE = ("utf-16", "utf-32")
# In order: the mark of UTF-16 is the beginning of that of UTF-32.
_STARTS = (
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|[^\0]\0\0\0|\0\0\0[^\0]"), "utf-32"),
    (re.compile(rb"\xff\xfe|[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\xfe\xff|\0[^\0]"), "utf-16-be"),
)


class XmlEncoding(NamedTuple):
    """How the bytes of an XML file are text.

    Attributes:
        codec: the encoding, as Python names it.
        start: where the text begins, behind blanks that may not stand before a declaration.
        notes: what was tolerated.
    """

    codec: str
    start: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_direct(self) -> bool:
        """Whether the parser reads these bytes; others need a copy as UTF-8."""
        return self.codec == "utf-8" or self.codec.startswith("utf-16") or _is_ascii(self.codec)

    def decode_head(self, head: bytes) -> bytes:
        """Returns the beginning of a file as UTF-8."""
        return head[self.start :].decode(self.codec, "ignore").removeprefix("\ufeff").encode()


def find_xml_encoding(head: bytes) -> XmlEncoding:
    """Returns the encoding of a file by its first bytes.

    Raises:
        RefusedError: it names an encoding that is unknown.
    """
    for beginning, codec in _STARTS:
        if beginning.match(head):
            # The bytes cannot be anything else, whatever is declared.
            return XmlEncoding(codec)
    mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    blank = _BLANK_START.match(head, mark)
    start = blank.end() if blank else 0
    notes = ("blanks before the XML declaration skipped",) if blank else ()
    declared = _DECLARED.match(head, start or mark)
    name = declared[1].decode("latin-1") if declared else "utf-8"
    try:
        codec = "utf-8" if mark else codecs.lookup(name).name
        # Other codecs, such as `hex`, are no encodings of text.
        "<a/>".encode(codec)
    except (LookupError, UnicodeError) as error:
        raise RefusedError(
            f"the file names the encoding {name!r}, which is unknown. Next: declare the one that "
            'it has, as files=Files(encoding="cp1252")'
        ) from error
    if codec.startswith(_WIDE):
        notes = (*notes, f"{name} is declared within, but the bytes are not; read as UTF-8")
        codec = "utf-8"
    return XmlEncoding("utf-8" if codec in _UTF_8 else codec, start, notes)


def _is_ascii(codec: str) -> bool:
    """Returns whether each byte is a character, and the first 128 are those of ASCII."""
    every = bytes(range(256))
    text = every.decode(codec, "replace")
    return len(text) == len(every) and text[:128].encode("ascii", "replace") == every[:128]
