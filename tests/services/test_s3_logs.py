"""Old log entries of a table in a bucket: archived, reported, and restored."""

import polars as pl
import pytest
from deltalake import write_deltalake
from support.buckets import bucket_world
from support.worlds import with_limits

from campaign.buckets import list_keys, make_bucket
from lakehouse.observe import sql
from lakehouse.publish.commit import shorten_log

TABLE, COMMITS = "raw/fx_rates", 20


@pytest.fixture(scope="module")
def bucket(server):
    """A bucket for both tests; the second one puts entries back."""
    return make_bucket(server, "logs")


@pytest.fixture(scope="module")
def here(server, bucket):
    """A lake with a table of many commits; half of them are archived."""
    here = with_limits(bucket_world(server, bucket), entries_per_archive_file=10)
    for number in range(COMMITS):
        write_deltalake(
            here.lake.uri(TABLE),
            pl.DataFrame({"n": [number]}),
            mode="append",
            storage_options=dict(here.lake.options),
        )
        if number in (9, 19):
            here.lake.open(TABLE).create_checkpoint()
    shorten_log(here.lake, TABLE, COMMITS - 1)
    return here


def in_log(server, bucket) -> list[int]:
    """The versions whose entries are in the log itself."""
    names = (
        key.rpartition("/")[2]
        for key in list_keys(server, bucket)
        if "_delta_log" in key and key.endswith(".json")
    )
    return sorted(int(name.removesuffix(".json")) for name in names)


def test_a_log_in_a_bucket_is_short_and_whole(here, server, bucket):
    assert in_log(server, bucket) == list(range(10, COMMITS))
    assert [commit.version for commit in here.lake.read_log(TABLE)] == list(range(COMMITS))
    assert here.lake.scan(TABLE).collect().height == COMMITS
    assert next(iter(sql.run_query(here.lake, "SELECT count(*) FROM raw.fx_rates")[1])) == (
        COMMITS,
    )


def test_an_archived_version_in_a_bucket_can_be_opened(here, server, bucket):
    assert here.lake.scan(TABLE, 4).collect().height == 5
    assert in_log(server, bucket) == [*range(5), *range(10, COMMITS)]
