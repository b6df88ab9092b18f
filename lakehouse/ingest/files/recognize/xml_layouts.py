"""XML: the path of the elements that are its records."""

import re
from collections import Counter
from contextlib import suppress
from xml.parsers import expat

from lakehouse.ingest.files.recognize.recognized import Recognized, declare_format
from lakehouse.ingest.files.recognize.sample import Sample
from lakehouse.tables.files import Files

_BEGINS = re.compile(r"\s*<(?:\?xml|!--|!DOCTYPE|[A-Za-z_])")


def recognize_xml(text: str, sample: Sample, encoding: str) -> Recognized | None:
    """Returns the path of the records of an XML file; None if it is none, or none repeats."""
    del encoding  # An XML file names its own.
    if not _BEGINS.match(text) or text.lstrip()[:15].lower().startswith(
        ("<!doctype html", "<html")
    ):
        return None
    counts = _count_elements(sample.head)
    repeated = {path: count for path, count in counts.items() if count > 1}
    if not repeated:
        return None
    depth = min(map(len, repeated))
    path = max((p for p in repeated if len(p) == depth), key=lambda p: repeated[p])
    columns = tuple(
        dict.fromkeys(p[-1] for p in counts if p[:-1] == path and len(p) == len(path) + 1)
    )
    files = Files(format=declare_format("xml", sample.name), records=".".join(path))
    return Recognized(files, columns, len(columns))


def _count_elements(head: bytes) -> Counter[tuple[str, ...]]:
    """Returns how often elements occur, by their path without namespaces."""
    counts: Counter[tuple[str, ...]] = Counter()
    open_elements: list[str] = []
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        open_elements.append(name.rpartition(":")[2])
        counts[tuple(open_elements)] += 1
        for attribute in attributes:
            counts[(*open_elements, attribute)] += 0

    def end(_: str) -> None:
        open_elements.pop()

    def refuse_entity(*_: object) -> None:
        raise expat.error("entities are not followed")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = refuse_entity
    with suppress(expat.ExpatError):
        parser.Parse(head, False)
    return counts
