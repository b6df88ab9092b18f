"""The laws on S3 while requests fail: whatever is lost on the way, running again ends with the same tables."""

import pytest
from support.buckets import bucket_world, put
from support.sizes import first, full
from support.worlds import NOW, catalog_of, land_all

from assets.retail import raw, staged
from campaign import shop, state, steps
from campaign.buckets import create_client, open_environment
from campaign.proxy import plan_faults_of_first_tries, plan_outage
from campaign.s3 import Trials
from campaign.tally import Tally
from lakehouse.errors import OutageError
from lakehouse.operations.replay import replay
from lakehouse.operations.restorable_versions import find_version_at
from lakehouse.operations.restore_plan import plan_restore
from lakehouse.quarantine.discard import Choice, discard

DAYS = ["2010-12-01", "2010-12-02"]
SEEDS = (3, 4, 8, 23, 30)
"""Five ways; a share of all requests, one request, two commits, an outage."""


@pytest.mark.parametrize("fault", ["lost", full("500 after")])
def test_a_commit_whose_answer_was_lost_stands_and_keeps_its_files(proxy, bucket, fault):
    here = bucket_world(proxy.url, bucket, catalog_of(rates=raw.fx_rates))
    proxy.plan = plan_faults_of_first_tries(fault)
    for day in (1, 2):  # the first creates the table, the second adds to it
        put(here, "fx_rates", f"{day}.csv", f"Date,USD\n2010-12-0{day},1.3\n")
        land_all(here)
    assert proxy.met[fault] == len(
        [path for path in set(proxy.paths) if "PUT" in path and "_delta_log" in path]
    )
    assert (
        here.lake.scan("raw/fx_rates").select("Date").collect().to_series().sort().to_list() == DAYS
    )
    assert len(here.lake.read_log("raw/fx_rates") or []) == 2
    assert here.lake.scan("quarantine/deliveries").collect().height == 2


@pytest.mark.parametrize("fault", first(1, ["500", "half read"]))
def test_a_store_that_does_not_answer_is_told_of_in_a_line_with_what_to_do(proxy, bucket, fault):
    here = bucket_world(proxy.url, bucket, catalog_of(rates=raw.fx_rates))
    put(here, "fx_rates", "1.csv", "Date,USD\n2010-12-01,1.3\n")
    proxy.plan = plan_outage(0, fault)
    with pytest.raises(OutageError, match=r"does not answer.*\nNext: check that the bucket exists"):
        land_all(here)


OPERATIONS = {
    "replay of rows": lambda here: replay(here, "staged/fx_rates"),
    "replay of dead letters": lambda here: replay(here, "raw/fx_rates"),
    "plan of a restore": lambda here: plan_restore(here, "raw/fx_rates", 0),
    "time of a restore": lambda here: find_version_at(here.lake, "raw/fx_rates", NOW),
    "discard": lambda here: discard(
        here.lake, here.catalog, "raw/fx_rates", Choice(is_all=True), reason="r", who="ann"
    ),
}
"""What people do with tables, by name."""


@pytest.mark.full
@pytest.mark.parametrize("operation", first(1, OPERATIONS.values()), ids=OPERATIONS)
def test_operations_tell_of_a_store_that_does_not_answer(proxy, bucket, operation):
    here = bucket_world(proxy.url, bucket, catalog_of(rates=raw.fx_rates, fx_rates=staged.fx_rates))
    put(here, "fx_rates", "1.csv", "Date,USD\n2010-12-01,1.3\n2010-12-02,1,2,3\n")
    land_all(here)
    proxy.plan = plan_outage(0, "500")
    with pytest.raises(OutageError, match=r"does not answer.*\nNext: check that the bucket exists"):
        operation(here)


@pytest.mark.parametrize("seeds", [full(SEEDS)], ids=["all"])
def test_what_is_disturbed_and_run_again_leads_to_the_same_tables(server, tmp_path, seeds):
    tally = Tally("law", print)
    Trials(tmp_path, tally, server, stories=1).run(seeds)
    assert tally.found == []
    assert sum(times for what, times in tally.tried.items() if "met:" in what) >= len(seeds)


def test_a_file_in_a_bucket_that_nobody_owns_is_seen(server, bucket):
    here = open_environment(server, bucket, shop.build_catalog())
    put(here, "sales", "1.csv", f"{shop.HEADER}\n1,2024-06-01,north,1\n")
    steps.land_all_files(here)
    assert list(state.find_orphans(here, "raw/sales")) == []
    create_client(server).put_object(
        Bucket=bucket, Key="lake/raw/sales/_left_behind.parquet", Body=b"x"
    )
    assert list(state.find_orphans(here, "raw/sales")) == ["_left_behind.parquet"]
