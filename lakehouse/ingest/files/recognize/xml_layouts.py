"""XML: the path of the elements that are its records."""

import re

from lakehouse.ingest.files.recognize.recognized import Recognized, declare_format
from lakehouse.ingest.files.recognize.sample import Sample
from lakehouse.ingest.files.xml.encoding import find_xml_encoding
from lakehouse.ingest.files.xml.paths import (
    choose_records,
    count_elements,
    list_below,
    write_path,
)
from lakehouse.tables.files import Files

_BEGINS = re.compile(r"\s*<(?:\?xml|!--|!DOCTYPE|[A-Za-z_])")


def recognize_xml(text: str, sample: Sample, encoding: str) -> Recognized | None:
    """Returns the path of the records of an XML file; None if it is none, or none repeats."""
    del encoding  # An XML file names its own.
    if not _BEGINS.match(text) or text.lstrip()[:15].lower().startswith(
        ("<!doctype html", "<html")
    ):
        return None
    found = find_xml_encoding(sample.head)
    counts = count_elements(found.decode_head(sample.head), "utf-8")
    path = choose_records(counts)
    if path is None:
        return None
    columns = list_below(counts, path)
    files = Files(format=declare_format("xml", sample.name), records=write_path(path))
    return Recognized(files, columns, len(columns))
