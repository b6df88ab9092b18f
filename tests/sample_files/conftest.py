from pathlib import Path
from typing import NamedTuple

import pytest

from samples import Truth, generate


class Made(NamedTuple):
    folder: Path
    truth: Truth


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What the command line makes without options."""
    folder = tmp_path_factory.mktemp("landing")
    return Made(folder, generate(folder, days=60, rows=400, seed=7))
