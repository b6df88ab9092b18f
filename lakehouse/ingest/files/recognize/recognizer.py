"""Finds out what a file looks like: the declaration that would read it, and what is not certain."""

import codecs
from collections.abc import Collection
from pathlib import Path

from lakehouse.ingest.files.recognize.binary_formats import find_binary_format
from lakehouse.ingest.files.recognize.encodings import find_encoding
from lakehouse.ingest.files.recognize.json_layouts import recognize_json
from lakehouse.ingest.files.recognize.recognized import Recognized
from lakehouse.ingest.files.recognize.sample import Sample, take_sample
from lakehouse.ingest.files.recognize.separated import recognize_text
from lakehouse.ingest.files.recognize.xml_layouts import recognize_xml


def recognize(path: Path, name: str, expected: Collection[str] = ()) -> Recognized | None:
    """Returns what a file looks like; None if it cannot be told.

    Args:
        path: the file as delivered.
        name: its name, whose suffix tells the format that needs no declaration.
        expected: the names of the declared columns, if any are known.

    Raises:
        OSError: the file cannot be read.
    """
    return recognize_sample(take_sample(path, name), expected)


def recognize_sample(sample: Sample, expected: Collection[str] = ()) -> Recognized | None:
    """Returns what the file of a sample looks like; for the arguments see `recognize`."""
    if binary := find_binary_format(sample):
        return binary
    encoding = find_encoding(sample.head, is_whole=sample.is_whole)
    if encoding is None:
        return None
    text = sample.head.decode(encoding, "replace").removeprefix("\ufeff")
    tail = (
        None
        if sample.tail is None
        else sample.tail.decode(_without_mark(encoding, sample), "replace")
    )
    for look in (recognize_json, recognize_xml):
        if found := look(text, sample, encoding):
            return found
    return recognize_text(text, tail, sample, encoding, expected)


def _without_mark(encoding: str, sample: Sample) -> str:
    """Returns the encoding of bytes behind the byte order mark."""
    if encoding == "utf-16":
        return "utf-16-be" if sample.head.startswith(codecs.BOM_UTF16_BE) else "utf-16-le"
    if encoding == "utf-32":
        return "utf-32-be" if sample.head.startswith(codecs.BOM_UTF32_BE) else "utf-32-le"
    return encoding
