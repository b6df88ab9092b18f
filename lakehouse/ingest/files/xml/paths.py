"""Which elements the beginning of an XML file has, by their paths without namespaces."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from xml.parsers import expat

from lakehouse.tables.record_path import quote_name

HEAD_BYTES = 256 << 10
"""How much of a file is looked at."""

_DEEPEST = 100
_MOST_PATHS = 10_000
ElementPath = tuple[str, ...]


def count_elements(head: bytes, encoding: str | None = None) -> Counter[ElementPath]:
    """Returns how often elements occur, by their path; attributes are there with 0.

    Args:
        head: the beginning of a file, as delivered; what follows an error in it is not seen.
        encoding: its encoding; None if the file names it.
    """
    counts: Counter[ElementPath] = Counter()
    open_elements: list[str] = []
    parser = expat.ParserCreate(encoding)

    def start(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(name.rpartition(":")[2])
        if len(open_elements) > _DEEPEST or len(counts) > _MOST_PATHS:
            raise expat.error("more than is looked at")
        counts[tuple(open_elements)] += 1
        for attribute in attributes:
            prefix, _, local = attribute.rpartition(":")
            if "xmlns" not in (prefix, local):
                counts[(*open_elements, local)] += 0

    def end(_: str) -> None:
        open_elements.pop()

    def refuse_entity(*_: object) -> None:
        raise expat.error("entities are not followed")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = refuse_entity
    with suppress(expat.ExpatError, LookupError, ValueError):
        parser.Parse(head, False)
    return counts


def choose_records(counts: Mapping[ElementPath, int]) -> ElementPath | None:
    """Returns the path of what repeats nearest to the top, and there most often; None if none."""
    repeated = [path for path, count in counts.items() if count > 1]
    depth = min(map(len, repeated), default=0)
    return max((p for p in repeated if len(p) == depth), key=lambda p: counts[p], default=None)


def list_below(counts: Mapping[ElementPath, int], path: ElementPath) -> tuple[str, ...]:
    """Returns the names of the attributes and elements right below a path."""
    below = (p for p in counts if p[:-1] == path and len(p) == len(path) + 1)
    return tuple(dict.fromkeys(p[-1] for p in below))


def write_path(path: ElementPath) -> str:
    """Returns a path as it is declared."""
    return ".".join(map(quote_name, path))
