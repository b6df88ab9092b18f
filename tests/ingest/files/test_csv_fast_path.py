"""The fast path of CSV returns the same rows as the exact one, and plain blocks take it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.csv import records as csv_records
from lakehouse.ingest.files.csv.dialect import CsvDialect
from lakehouse.ingest.files.csv.fast_path import parse_plain_block
from lakehouse.ingest.limits import DEFAULT_LIMITS

FIELDS = st.sampled_from(
    [
        "",
        " ",
        "x",
        "é",
        "1.5",
        '""',
        '"a,b"',
        '"a""b"',
        '""""',
        '6" x',
        '"',
        "\t",
        "\0",
        "#",
        "NA",
        "\ufeffx",
    ]
)
PLAIN = st.tuples(*[st.sampled_from(["", " ", "x", "é", '""', '"a,b"', '"a""b"'])] * 2).map(
    ",".join
)
LINES = st.one_of(PLAIN, PLAIN, st.lists(FIELDS, min_size=1, max_size=4).map(",".join))
FILES = st.builds(
    lambda lines, end, last: end.join(lines) + last,
    st.lists(LINES, min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n"]),
)


def plain(block: bytes, columns=("a", "b")):
    found = parse_plain_block(block, CsvDialect(), columns, DEFAULT_LIMITS)
    return None if found is None else found.rows.rows()


@pytest.mark.full
@given(body=FILES, separator=st.sampled_from([",", "\t"]), header=st.sampled_from(["a,b", "a,b,,"]))
@settings(max_examples=300, deadline=None)
@example(body='x,"a\nb",y\n', separator=",", header="a,b")
@example(body='""', separator=",", header="a,b")
@example(body="\ufeffx,y\n", separator=",", header="a,b")
def test_both_paths_read_the_same(read, body, separator, header):
    content = f"{header}\n{body}".replace(",", separator).encode()
    name = "a.csv" if separator == "," else "a.tsv"
    fast = read(content, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "parse_plain_block", lambda *_: None)
        exact = read(content, name)
    assert (fast.rows, fast.offsets, fast.letters) == (exact.rows, exact.offsets, exact.letters)
    assert (fast.delivery.notes, fast.delivery.refused) == (
        exact.delivery.notes,
        exact.delivery.refused,
    )


@pytest.mark.parametrize(
    "block", [b"1,2\n3,4\n", b"1,2\r\n3,4", b'"x, ""y""",\n1,2\n', b"1,2,,\n3,4\n", b" ,\0\n"]
)
def test_plain_blocks_take_the_fast_path(block):
    assert plain(block) is not None


@pytest.mark.parametrize(
    "block",
    [
        b"1\n",
        b"1,2,3\n",
        b"1,2\n\n3,4\n",
        b"1,2\n3,4\r\n",
        b"1,2\r3,4\r",
        b'1,"x\ny"\n',
        b'6" x,2\n',
        b"\xff,1\n",
        b"\x01,1\n",
        b"\xef\xbb\xbf1,2\n",
    ],
)
def test_blocks_with_anything_odd_do_not(block):
    assert plain(block) is None


def test_one_odd_line_slows_its_neighbours_only(read):
    lines = [b"%d,x" % number for number in range(50_000)]
    lines[25_000] = b"odd"
    seen = read(b"a,b\n" + b"\n".join(lines))
    assert (len(seen.rows), seen.letters[0]["place"], seen.letters[0]["_offset"]) == (
        49_999,
        "line 25002",
        25_001,
    )
    assert seen.numbers == list(range(1, 50_001))
