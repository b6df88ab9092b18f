"""Fixed-width text: where columns are, short and long lines, and the same rows on both paths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.ingest.files.text import fixed_width
from lakehouse.ingest.limits import IngestLimits
from lakehouse.tables.files import Files

WIDTHS = {"id": 4, "city": 6, "n": 3}
FIXED = Files(format="fixed", widths=WIDTHS)


def test_columns_are_cut_by_characters_and_padding_is_left_out(read):
    seen = read("0001Zürich 12\n0002Bern    7\n".encode(), "a.txt", files=FIXED)
    assert seen.rows == [("0001", "Zürich", "12"), ("0002", "Bern", "7")]


def test_a_line_may_end_within_its_last_column_or_go_on_with_blanks(read):
    seen = read(b"0001Oslo  1\n0002Oslo  \n0003Oslo  123   \n", "a.txt", files=FIXED)
    assert [row[2] for row in seen.rows] == ["1", None, "123"]


def test_other_short_and_long_lines_are_dead_letters(read):
    seen = read(b"0001Oslo    1\n0002Os\n0003Oslo    1x\n", "a.txt", files=FIXED)
    assert (len(seen.rows), seen.payloads) == (1, [b"0002Os", b"0003Oslo    1x"])
    assert "too short: 6 characters" in seen.reasons[0]
    assert "too long: 14 characters" in seen.reasons[1]
    assert seen.numbers == [1, 2, 3]


def test_lines_without_the_blanks_at_their_end_can_be_declared(read):
    files = Files(format="fixed", widths=WIDTHS, trim=True)
    seen = read(b"0001Oslo    1\n0002Os\n0003\n", "a.txt", files=files)
    assert seen.rows == [("0001", "Oslo", "1"), ("0002", "Os", None), ("0003", None, None)]


@pytest.mark.parametrize(("header", "rows"), [(True, 1), (False, 2)])
def test_a_first_line_that_names_the_columns_is_a_header_unless_none_is_declared(
    read, header, rows
):
    files = Files(format="fixed", widths=WIDTHS, header=header)
    assert len(read(b"ID  CITY  N  \n0001Oslo  1\n", "a.txt", files=files).rows) == rows


def test_nulls_comments_blank_and_skipped_lines_are_as_in_csv(read):
    files = Files(
        format="fixed", widths=WIDTHS, nulls=("-",), comment="*", skip_lines=1, skip_last_lines=1
    )
    seen = read(b"top\n* x\n0001-     1  \n\n0002Bern  2\nend", "a.txt", files=files)
    assert seen.rows == [("0001", None, "1"), ("0002", "Bern", "2")]
    assert (seen.letters, len(seen.delivery.notes)) == ([], 4)


def test_widths_that_fit_no_line_refuse_the_file(read):
    refused = read(b"1,Oslo\n2,Bern\n", "a.txt", files=FIXED).delivery.refused
    assert "no line fits the declared widths, which are 13 characters" in refused


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "cp500"])
def test_fixed_width_text_has_any_encoding(read, encoding):
    files = Files(format="fixed", widths=WIDTHS, encoding=encoding)
    content = "0001Zürich 12\n0002\n".encode(encoding)
    seen = read(content, "a.txt", files=files)
    assert (seen.rows, len(seen.letters)) == ([("0001", "Zürich", "12")], 1)


LINES = st.lists(st.text(st.sampled_from("aé1 -#\u3000"), max_size=15), min_size=1, max_size=6)


@given(
    lines=LINES,
    end=st.sampled_from(["\n", "\r\n"]),
    trim=st.booleans(),
    block=st.sampled_from([5, 1 << 20]),
)
@settings(max_examples=60, deadline=None)
def test_both_paths_read_the_same(read, lines, end, trim, block):
    files = Files(format="fixed", widths=WIDTHS, trim=trim, comment="#", nulls=("-", "1"))
    content = end.join(lines).encode()
    fast = read(content, "a.txt", files=files, limits=IngestLimits(block_bytes=block))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_width, "_slice_columns", lambda *_: None)
        exact = read(content, "a.txt", files=files)
    assert (fast.rows, fast.letters, fast.delivery.notes, fast.delivery.refused) == (
        exact.rows,
        exact.letters,
        exact.delivery.notes,
        exact.delivery.refused,
    )
