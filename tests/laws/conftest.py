"""Fixtures of the law tests: worlds that are made once and only read, and one for each test."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import worlds
from support.worlds import bring_up_to_date, deliver, world
from tills import till

from lakehouse.environment import Environment
from samples import Truth, generate


@pytest.fixture(scope="module", autouse=True)
def few_small_files_are_many() -> Iterator[None]:
    """Rows move to other files after two or three commits, so that every law is tried on moved rows."""
    limits = replace(worlds.LIMITS, many_files=3, many_files_in_partition=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "LIMITS", limits)
        yield


@pytest.fixture(scope="module", autouse=True)
def old_log_entries_are_archived(few_small_files_are_many: None) -> Iterator[None]:  # noqa: ARG001
    """Half of a log with twenty entries is archived, so that laws of many commits are tried on archived logs."""
    limits = replace(worlds.LIMITS, entries_per_archive_file=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "LIMITS", limits)
        yield


def deliver_all(here: Environment, folder: Path) -> None:
    """Deliver every sample file."""
    for table in ("invoice_lines", "fx_rates"):
        deliver(here, table, *sorted((folder / table).iterdir()))


@pytest.fixture(scope="session")
def stocked(
    samples: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Environment, Truth]:
    """All sample files landed at once, and all tables made from them; read-only."""
    folder, truth = samples
    here = world(tmp_path_factory.mktemp("stocked"))
    deliver_all(here, folder)
    bring_up_to_date(here)
    return here, truth


@pytest.fixture(scope="session")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of sample files: a copy and lines of an earlier day among them."""
    folder = tmp_path_factory.mktemp("fortnight")
    generate(folder, days=14, rows=150, seed=11)
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Environment:
    """An empty lake of the till."""
    return world(tmp_path, till())
