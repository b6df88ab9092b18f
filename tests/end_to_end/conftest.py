"""Fixtures of the tests from end to end: what `make demo` leaves, made once."""

from pathlib import Path

import pytest
from support.demos import run_demo


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of samples, as `make demo` leaves it; to be copied."""
    folder = tmp_path_factory.mktemp("demonstrated")
    run_demo(folder)
    return folder
