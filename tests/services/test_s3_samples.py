"""Samples are delivered to a bucket as to a folder: what landed before is known, and other files are refused."""

from datetime import date
from types import SimpleNamespace

import pytest
from support.buckets import bucket_world, put
from support.worlds import land_all

import samples
from lakehouse.errors import SetupError
from resources.sample_files import deliver_next

TUESDAY = date(2026, 12, 1)
SMALL = SimpleNamespace(
    DOMAIN="retail",
    find_today=lambda: TUESDAY,
    add_days=lambda out, **asked: samples.add_days(out, rows=5, **asked),
)


@pytest.fixture
def here(server, bucket):
    return bucket_world(server, bucket)


def test_the_next_days_of_samples_are_delivered_to_a_bucket_and_land(here):
    first = deliver_next(here, SMALL, 2)
    assert [path.rpartition("/")[2][7:17] for path in first[:2]] == ["2026-11-29", "2026-11-30"]
    assert all(path.startswith(here.landing.root) for path in first)
    landed = land_all(here)
    assert landed["raw/invoice_lines"].audits[0].written > 0
    assert landed["raw/fx_rates"].audits[0].written > 0
    assert deliver_next(here, SMALL, 1) == []


def test_samples_are_not_delivered_beside_other_files_in_a_bucket(here):
    put(here, "invoice_lines", "mine.csv", "InvoiceNo\n1\n")
    with pytest.raises(SetupError, match="holds your own files"):
        deliver_next(here, SMALL, 1)
