"""Whether a JSON file has a record on each line, or is a document of any layout.

A damaged line costs only itself, a damaged document is refused whole. So a file that can be read as
lines is.
"""

import json

from lakehouse.ingest.files.json.bounds import Document

_SAMPLE_LINES = 64
_SAMPLE_BYTES = 1 << 18


def has_lines(document: Document, start: int, most_bytes: int) -> bool:
    """Returns whether each line of a file is a record, judged by its first lines.

    Args:
        document: the file.
        start: where it begins, behind a byte order mark.
        most_bytes: the longest line that is read.
    """
    content = document.bytes
    begin = document.skip_blanks(start)
    end = content.find(b"\n", begin, begin + most_bytes)
    if begin >= document.size:
        return False
    first = content[begin : end if end >= 0 else min(document.size, begin + most_bytes)].rstrip()
    is_only_line = end < 0 or document.skip_blanks(end) >= document.size
    if first.startswith(b"["):
        # One line that is a list is a document, as is a list that goes on; lists on several lines
        # are lines, each with its records.
        return not is_only_line and _is_json(first)
    if _is_json(first):
        return True
    if first.endswith(b",") and _is_json(first[:-1]):
        return False
    return _has_sound_lines(content[begin : begin + _SAMPLE_BYTES], is_whole=first[:1] != b"{")


def _has_sound_lines(head: bytes, *, is_whole: bool) -> bool:
    """Returns whether at least half of the lines are objects by themselves.

    Args:
        head: the beginning of a file.
        is_whole: whether it cannot be a document, so that one such line is enough.
    """
    lines = [line for line in head.splitlines()[:_SAMPLE_LINES] if line.strip()]
    # An object in a document is indented, or a comma follows; but for the last one of a list.
    sound = sum(line.startswith(b"{") and _is_json(line) for line in lines)
    return sound > 0 if is_whole else 2 * sound >= len(lines)


def _is_json(text: bytes) -> bool:
    try:
        # Brackets and quotes are the same bytes in each encoding that comes here.
        json.loads(text.decode("latin-1"))
    except (ValueError, RecursionError):
        return False
    return True
