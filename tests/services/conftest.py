"""Fixtures of the tests with services: an S3 API server for the session, and a bucket for each test."""

import importlib.util
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from campaign.buckets import make_bucket
from campaign.proxy import Proxy, run_proxy
from resources.s3_server import run_server
from samples import generate

_numbers = count()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of an S3 API server."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed (make test installs it)")
    with run_server() as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    """A proxy before that server."""
    with run_proxy(server) as running:
        yield running


@pytest.fixture
def bucket(server: str) -> str:
    """A new bucket."""
    return make_bucket(server, f"lake-{next(_numbers)}")


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of sample files."""
    folder = tmp_path_factory.mktemp("days")
    generate(folder, days=3, rows=12, seed=7)
    return folder
