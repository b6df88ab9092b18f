"""Lines of a file in blocks: a line over the limit is known by its beginning, its end and its size."""

import pytest

from lakehouse.ingest.files.text.lines import LongLine, read_blocks
from lakehouse.ingest.limits import IngestLimits

LIMITS = IngestLimits(record_bytes=10, payload_bytes=4, block_bytes=4)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("size", range(15, 22))
def test_a_long_line_ends_where_it_ends(tmp_path, end, size):
    (tmp_path / "a").write_bytes(b"x" * size + end + b"y" + end + b"z")
    first, *others = read_blocks(tmp_path / "a", LIMITS)
    assert first == LongLine(b"xxxx", end, size)
    assert b"".join(others) == b"y" + end + b"z"


def test_a_long_line_may_end_with_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 50)
    assert list(read_blocks(tmp_path / "a", LIMITS)) == [LongLine(b"xxxx", b"", 50)]
