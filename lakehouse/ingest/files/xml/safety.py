"""What a document type declaration may not do: declare entities, or hide that one is unknown.

Entities can make gigabytes of a few bytes, and can name files of this machine. None is followed.
"""

import mmap
import re
from xml.parsers import expat

from lakehouse.ingest.files.record_ledger import RefusedError

_MOST_DEFAULT = 1_000
"""How many characters the defaults of attributes may have: each element would carry them."""

_TAG = re.compile(r"""(?:[^>"']|"[^"]*"|'[^']*')*>""")
_UNKNOWN = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)([^;]{1,60});")
_TAG_BYTES = 1 << 12


def match_tag(content: bytes | mmap.mmap, position: int, codec: str) -> str:
    """Returns the text of the tag that begins at a position; what there is if it has no end."""
    size = _TAG_BYTES
    while True:
        text = content[position : position + size].decode(codec, "ignore")
        found = _TAG.match(text)
        if found or position + size >= len(content):
            return found[0] if found else text
        size *= 8


class Guard:
    """What looks at the declarations of one document.

    Attributes:
        is_watching: whether the parser may leave out unknown entities in attributes.
    """

    def __init__(self, parser: expat.XMLParserType, codec: str) -> None:
        """Begins before the document."""
        self.is_watching = False
        self._parser = parser
        self._codec = codec
        self._defaults = 0
        parser.EntityDeclHandler = self._refuse_declaration
        parser.StartDoctypeDeclHandler = self._begin_declarations
        parser.AttlistDeclHandler = self._count_default
        parser.SkippedEntityHandler = self._refuse_entity

    def check_attributes(self) -> None:
        """Refuses a tag with an entity that is declared nowhere in the file.

        Raises:
            RefusedError: there is one.
        """
        # The parser leaves such an entity out without a word if the declaration is elsewhere.
        tag = match_tag(self._parser.GetInputContext() or b"", 0, self._codec)
        if found := _UNKNOWN.search(tag):
            self._refuse_entity(found[1], 0)

    def _begin_declarations(self, _: str, system: str | None, __: str | None, inner: int) -> None:
        self.is_watching = system is not None or bool(inner)

    def _refuse_declaration(self, name: str, *_: object) -> None:
        self._refuse(f"the file declares an entity ({name[:60]}), and entities are not followed")

    def _refuse_entity(self, name: str, is_parameter: int) -> None:
        if not is_parameter:
            self._refuse(f"the file does not declare its entity &{name[:60]};")

    def _count_default(self, _: str, __: str, ___: str, default: str | None, ____: int) -> None:
        self._defaults += len(default or "")
        if self._defaults > _MOST_DEFAULT:
            self._refuse(f"the defaults of attributes have more than {_MOST_DEFAULT:,} characters")

    def _refuse(self, problem: str) -> None:
        raise RefusedError(
            f"{problem}, at line {self._parser.CurrentLineNumber}. Next: deliver the file without "
            "entities and without <!DOCTYPE …>"
        )
