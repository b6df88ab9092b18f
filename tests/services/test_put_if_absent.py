"""A bucket must support put-if-absent, or only one machine writes to it."""

from dataclasses import replace

import polars as pl
import pytest
from support.buckets import bucket_world

from campaign.buckets import list_keys
from campaign.proxy import Proxy
from lakehouse.errors import BusyError, SetupError
from lakehouse.publish.audit import Audit
from lakehouse.publish.publish import publish
from lakehouse.publish.request import Append
from lakehouse.storage.lake import Lake
from lakehouse.storage.revision import Revision, log_position

NUMBERS = "raw/numbers"


def write(lake: Lake, base: Revision | None) -> int | None:
    """Appends a row, the version that was read, to what was read; returns the new version."""
    row = pl.LazyFrame({"n": [log_position(base)]})
    request = Append(NUMBERS, row, base=base)
    return publish(
        lake, request, lambda found: Audit(NUMBERS, "append", read=1, written=found.rows)
    ).version


@pytest.fixture
def forgetful(proxy: Proxy) -> Proxy:
    """A store that ignores the condition."""
    proxy.dropped = frozenset({"if-none-match"})
    return proxy


def test_a_store_that_puts_if_absent_is_written_to_and_keeps_no_trace_of_the_proof(server, bucket):
    assert write(bucket_world(server, bucket).lake, None) == 0
    assert not [key for key in list_keys(server, bucket) if "raw/numbers" not in key]


def test_a_store_that_writes_over_objects_is_refused_before_anything_is_written(
    server, forgetful, bucket
):
    with pytest.raises(
        SetupError, match=r"two writers would lose commits.\nNext: .* LAKEHOUSE_SINGLE_WRITER=true"
    ):
        write(bucket_world(forgetful.url, bucket).lake, None)
    assert list_keys(server, bucket) == []


@pytest.mark.full
def test_a_store_that_does_not_know_the_condition_is_refused(proxy, bucket):
    proxy.plan = lambda asked: "501" if "if-none-match" in asked.headers else None
    with pytest.raises(SetupError, match="two writers would lose commits"):
        write(bucket_world(proxy.url, bucket).lake, None)


def test_a_bucket_that_does_not_exist_is_told_of(server):
    with pytest.raises(SetupError, match=r"is refused: .*NoSuchBucket"):
        write(bucket_world(server, "no-such-bucket").lake, None)


def test_with_a_single_writer_any_store_does_and_its_processes_still_lose_no_commit(
    forgetful, bucket
):
    lake = replace(bucket_world(forgetful.url, bucket).lake, single_writer=True)
    assert write(lake, None) == 0
    first = lake.revision(NUMBERS)
    assert write(lake, first) == 1
    for late in (None, first):
        with pytest.raises(BusyError, match="another writer committed first"):
            write(lake, late)
    assert sorted(lake.scan(NUMBERS).collect().to_series()) == [-1, 0]
