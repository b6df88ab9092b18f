"""SQL over a lake in a bucket: a query scans tables of that lake and nothing else."""

import polars as pl
import pytest
from deltalake import write_deltalake
from support.buckets import bucket_world

from campaign.buckets import make_bucket
from lakehouse.errors import SetupError
from lakehouse.observe.sql import run_query

TABLE = "raw/fx_rates"


@pytest.fixture(scope="module")
def lake(server):
    """A lake in a bucket, with one table of two rows."""
    lake = bucket_world(server, make_bucket(server, "scans")).lake
    df = pl.DataFrame({"n": [1, 2]})
    write_deltalake(lake.uri(TABLE), df, storage_options=dict(lake.options))
    return lake


def test_the_uri_of_a_table_is_scanned(lake):
    _, rows = run_query(lake, f"SELECT sum(n) FROM delta_scan('{lake.uri(TABLE)}', version => 0)")
    assert list(rows) == [(3,)]


@pytest.mark.parametrize(
    "place",
    [
        *(
            "raw/fx_rates",
            "./raw/fx_rates",
            "{folder}/raw/fx_rates",
            "file://{folder}/raw/fx_rates",
        ),
        *("{root}", "{root}/raw", "{root}//raw/fx_rates", "{root}/./raw/fx_rates", "/raw/fx_rates"),
        *("{root}/raw/fx_rates/../fx_rates", "{root}/raw/fx%5Frates", "{root}x/raw/fx_rates", ""),
    ],
)
def test_no_other_place_is_scanned(lake, tmp_path, monkeypatch, place):
    write_deltalake(tmp_path / TABLE, pl.DataFrame({"x": ["hush"]}))
    monkeypatch.chdir(tmp_path)
    named = place.format(folder=tmp_path, root=lake.root.rstrip("/"))
    with pytest.raises(SetupError, match="it scans a place that is no table of the lake"):
        run_query(lake, f"SELECT * FROM delta_scan('{named}')")
