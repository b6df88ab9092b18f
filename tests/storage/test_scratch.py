"""Folders for temporary files: deleted after the work; after a kill, deleted as soon as another process works."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse.storage.scratch import create_scratch_folder

_KILLED = """
import os, signal
from lakehouse.storage.scratch import create_scratch_folder
with create_scratch_folder() as folder:
    (folder / "rows.parquet").write_text("rows")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def grown_old(folder: Path) -> Path:
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    return folder


def killed() -> Path:
    """The folder of a process that was killed in the middle."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    return Path(done.stdout.strip())


def test_a_folder_is_gone_after_the_work(temporary):
    with create_scratch_folder() as folder:
        (folder / "rows").touch()
        assert folder.parent == temporary
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away_by_the_next(temporary):
    left = grown_old(killed())
    assert (left / "rows.parquet").exists()
    with create_scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_what_somebody_works_in_stays_however_old():
    with create_scratch_folder() as busy:
        grown_old(busy)
        with create_scratch_folder():
            assert busy.exists()


def test_a_folder_that_was_just_made_stays():
    left = killed()
    os.utime(left)  # on a busy machine the process may have taken its time
    with create_scratch_folder():
        assert left.exists()


def test_a_lake_of_a_user_that_is_named_alike_stays(temporary):
    kept = temporary / "lakehouse-data" / "landing" / "sales.csv"
    kept.parent.mkdir(parents=True)
    kept.touch()
    grown_old(temporary / "lakehouse-data")
    with create_scratch_folder():
        assert kept.exists()


def test_what_is_named_alike_and_is_no_folder_stays(temporary):
    lock = temporary / "lakehouse-0123456789abcdef.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    with create_scratch_folder():
        assert lock.exists()
