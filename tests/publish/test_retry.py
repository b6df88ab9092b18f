"""Another attempt if another writer was faster."""

import pytest

from lakehouse.errors import BusyError, DataError
from lakehouse.publish.retry import RetryLimits, retry_if_busy


class Writer:
    """Is disturbed a number of times before it succeeds."""

    def __init__(self, disturbed, error=BusyError):
        self.calls, self.disturbed, self.error = 0, disturbed, error

    def __call__(self):
        self.calls += 1
        if self.calls <= self.disturbed:
            raise self.error("orders: another writer committed first.\nNext: run again.")
        return self.calls


WITHOUT_PAUSES = RetryLimits(longest_pause=0)


@pytest.mark.parametrize("disturbed", [0, 1, 9, 60])
def test_a_disturbed_attempt_is_repeated(disturbed):
    assert retry_if_busy(Writer(disturbed), WITHOUT_PAUSES) == disturbed + 1


def test_ten_disturbed_attempts_are_enough_when_the_time_is_over():
    writer = Writer(100)
    with pytest.raises(BusyError, match="another writer committed first"):
        retry_if_busy(writer, RetryLimits(patience=0, longest_pause=0))
    assert writer.calls == 10


def test_an_error_that_waiting_cannot_mend_is_raised_at_once():
    writer = Writer(1, DataError)
    with pytest.raises(DataError):
        retry_if_busy(writer)
    assert writer.calls == 1


def test_a_new_attempt_is_logged_in_one_line(caplog):
    with caplog.at_level("INFO", logger="lakehouse.publish.retry"):
        retry_if_busy(Writer(1), WITHOUT_PAUSES)
    assert caplog.messages == ["orders: another writer committed first. Trying again in 0.0 s."]
