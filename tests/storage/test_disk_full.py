"""A full disk is reported as such, and changes nothing."""

import errno

import pytest
from polars.exceptions import ComputeError

from lakehouse.errors import SetupError
from lakehouse.storage.disk_full import report_full_disk


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ComputeError(
            "parquet: File out of specification: underlying IO error: No space left on device (os error 28)"
        ),
        OSError(errno.EFBIG, "File too large"),
    ],
)
def test_an_error_that_speaks_of_room_is_told_as_one(tmp_path, error):
    with (
        pytest.raises(SetupError, match="There is no space left in"),
        report_full_disk(str(tmp_path)),
    ):
        raise error


def test_an_error_that_blames_the_file_is_told_as_one_where_the_disk_is_full(tmp_path):
    with (
        pytest.raises(SetupError, match="Next: free space there and run again"),
        report_full_disk(str(tmp_path), least_free=1 << 62),
    ):
        raise ComputeError("parquet: File out of specification: Invalid thrift: transport error")


def test_any_other_error_stays_what_it_is(tmp_path):
    with pytest.raises(ComputeError, match="conversion"), report_full_disk(str(tmp_path)):
        raise ComputeError("conversion failed")
