"""Fixtures: an empty world in a temporary folder, sample files, and the real data if it is there."""

from lakehouse.project import process_settings

process_settings.configure_polars()  # tests and their children run Polars as the product does

from collections.abc import Generator
from pathlib import Path

import pytest
from support.skips import fail_in_ci
from support.worlds import SHARED, world

from lakehouse.environment import Environment
from samples import Truth, generate


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fails what CI would skip."""
    report = yield
    fail_in_ci(item, report)
    return report


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """An empty lake of the retail domain."""
    return world(tmp_path)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A landing folder of 60 days of sample files, and what is in them."""
    folder = tmp_path_factory.mktemp("samples")
    return folder, generate(folder, days=60, rows=60, seed=7)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the real data is not beside this checkout (../shared/data)")
    return SHARED
