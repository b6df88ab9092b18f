"""XML: every element at the path of the records as a row of text, or as a dead letter."""

import mmap
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from lakehouse.ingest.files.header_names import list_names
from lakehouse.ingest.files.read_options import ReadOptions
from lakehouse.ingest.files.record_columns import RecordColumns, TooManyColumnsError
from lakehouse.ingest.files.record_ledger import RecordLedger, RefusedError
from lakehouse.ingest.files.text.text_encoding import decoded
from lakehouse.ingest.files.xml.encoding import XmlEncoding, find_xml_encoding
from lakehouse.ingest.files.xml.parents import Texts, XmlParents
from lakehouse.ingest.files.xml.paths import HEAD_BYTES, choose_records, count_elements, write_path
from lakehouse.ingest.files.xml.safety import match_tag
from lakehouse.ingest.files.xml.values import write_members
from lakehouse.ingest.files.xml.walk import Element, XmlWalker
from lakehouse.tables.record_path import parse_record_path

# Small at first: a file with declarations is looked at closely, which takes a copy of a chunk for
# each tag.
_CHUNK = 1 << 16
_NOTHING: Texts = {}


def read_xml(path: Path, ledger: RecordLedger, options: ReadOptions) -> None:
    """Reads a plain XML file into the ledger.

    Raises:
        RefusedError: it is not well-formed, declares entities, names an unknown encoding, or lacks
            the path of the records or a required column.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    is_declared = options.files.encoding.lower().replace("_", "-") not in ("utf-8", "utf8")
    encoding = XmlEncoding(options.files.encoding) if is_declared else find_xml_encoding(head)
    if options.files.records is None:
        _refuse_without_path(encoding.decode_head(head))
    ledger.notes += encoding.notes
    source: AbstractContextManager[Path] = nullcontext(path)
    if is_declared or not encoding.is_direct:
        source = decoded(path, encoding.codec, ledger)
        encoding = XmlEncoding("utf-8", 0)
    with source as text:
        _XmlReader(text, encoding, ledger, options).read()


def _refuse_without_path(head: bytes) -> None:
    counts = count_elements(head, "utf-8")
    chosen = choose_records(counts)
    if chosen is None:
        shown = list_names([write_path(path) for path, count in counts.items() if count])
        raise RefusedError(
            "the path of the records in XML has to be declared, as "
            f'Files(records="orders.order"); there is: {shown or "no element"}'
        )
    repeated = sorted((p for p, count in counts.items() if count > 1), key=len)
    raise RefusedError(
        "the path of the records in XML has to be declared; elements that repeat: "
        f"{list_names([write_path(path) for path in repeated])}. Next: declare one of them, as "
        f"files=Files(records={write_path(chosen)!r})"
    )


class _XmlReader:
    """A reader of one file."""

    def __init__(
        self, path: Path, encoding: XmlEncoding, ledger: RecordLedger, options: ReadOptions
    ) -> None:
        files, limits = options.files, ledger.limits
        record_path = parse_record_path(files.records, files.parents)
        self._path = path
        self._encoding = encoding
        self._ledger = ledger
        self._columns = RecordColumns(ledger, options.required, own=files.parents)
        self._parents = XmlParents(record_path, limits.record_bytes)
        self._walker = XmlWalker(record_path, limits, self._parents, self._take)
        self._has_parents = bool(files.parents)
        self._records = files.records

    def read(self) -> None:
        """Reads the file."""
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            self._content = content
            start = self._encoding.start
            lines = content[:start].count(b"\n")
            self._walker.walk(self._read_chunks(start), self._encoding.codec, start, lines)
        if not self._ledger.records:
            self._ledger.empty_because = f"no element at {self._records}: no records"
        elif self._has_parents:
            self._ledger.notes += self._parents.describe()
        self._columns.finish()

    def _read_chunks(self, start: int) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                yield chunk

    def _take(self, element: Element) -> None:
        if self._has_parents:
            self._parents.give(lambda texts: self._add(element, texts), element.end - element.begin)
        else:
            self._add(element, _NOTHING)

    def _add(self, element: Element, texts: Texts) -> None:
        if element.problem:
            self._add_letter(element, element.problem)
            return
        record = write_members(element.members)
        if texts:
            # A blank behind it makes it another key of the same name, which is then numbered.
            own = {f"{key}\x1f" if key in texts else key: value for key, value in record.items()}
            record = {**texts, **own}
        try:
            self._columns.add(record, element.end - element.begin)
        except TooManyColumnsError as error:
            self._add_letter(element, str(error))

    def _add_letter(self, element: Element, problem: str) -> None:
        end = self._find_end(element)
        size, most = end - element.begin, self._ledger.limits.record_bytes
        if size > most:
            problem = f"record too long: {size:,} bytes; limit {most:,} (record_bytes)"
        kept = self._content[element.begin : min(end, element.begin + most)]
        self._ledger.add_letter(problem, f"line {element.line}", kept, size)

    def _find_end(self, element: Element) -> int:
        """Returns the position behind a record."""
        tag = match_tag(self._content, element.begin, self._encoding.codec)
        if tag.endswith("/>"):
            return element.begin + len(tag.encode(self._encoding.codec))
        tag = match_tag(self._content, element.end, self._encoding.codec)
        return element.end + len(tag.encode(self._encoding.codec))
