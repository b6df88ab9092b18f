"""Locks: whoever waits is told for whom, not for ever, and a dead process holds none."""

import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest
from support import children

from lakehouse.errors import BusyError, SetupError
from lakehouse.storage import locks
from lakehouse.storage.locks import hold_lock, is_locked, wait_for_lock


def hold(file: Path) -> None:
    """Holds a lock until it is killed."""
    with wait_for_lock(file, "it is held"):
        (file.parent / "held").touch()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock."""
    process = children.start(hold, tmp_path / "lock")
    deadline = time.monotonic() + 60
    while not (tmp_path / "held").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_a_process_that_waits_is_told_for_whom_since_when_and_what_to_do(
    tmp_path, holder, monkeypatch
):
    monkeypatch.setattr("lakehouse.storage.locks._FIRST_TELL", 0.1)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        holder.kill()

    with wait_for_lock(tmp_path / "lock", "staged/orders is made", tell=tell):
        pass
    [line] = told
    assert line.startswith(f"staged/orders is made by process {holder.pid} on ")
    assert "since 20" in line
    assert "up to 600 s. If it hangs, end that process." in line


def test_a_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    assert is_locked(tmp_path / "lock")
    holder.kill()
    holder.join()
    assert not is_locked(tmp_path / "lock")


def test_a_lock_of_a_stopped_process_is_not_taken_from_it(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        assert is_locked(tmp_path / "lock")
        with (
            pytest.raises(BusyError, match=rf"process {holder.pid} on .*, and not for us within"),
            wait_for_lock(tmp_path / "lock", "x", longest=0.05),
        ):
            pass
    finally:
        os.kill(holder.pid, signal.SIGCONT)


def test_whoever_asks_for_a_lock_does_not_look_like_its_holder(tmp_path):
    seen: list[bool] = []
    (tmp_path / "lock").touch()

    def ask() -> None:
        seen.extend(is_locked(tmp_path / "lock") for _ in range(200))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(seen)


def test_a_lock_that_is_refused_names_its_holder(tmp_path):
    with hold_lock(tmp_path / "lock", "It is in use.\nNext: wait."):
        with pytest.raises(BusyError) as refused, hold_lock(tmp_path / "lock", "In use.\nNext: x."):
            pass
        assert str(refused.value).startswith(f"In use. It is process {os.getpid()} on ")
        assert str(refused.value).endswith("UTC.\nNext: x.")


@pytest.mark.parametrize("text", ["", "{", "[]", "no text \x00"])
def test_a_lock_with_any_text_can_be_taken(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    with (
        hold_lock(tmp_path / "lock", "x"),
        pytest.raises(BusyError),
        hold_lock(tmp_path / "lock", "y"),
    ):
        pass
    (tmp_path / "lock").write_text(text)
    with wait_for_lock(tmp_path / "lock", "x"):
        pass


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_user_may_lock_whatever_the_umask_of_the_first(tmp_path, umask):
    before = os.umask(umask)
    try:
        with wait_for_lock(tmp_path / "lock", "x"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o666


def test_a_lock_of_another_user_is_held_with_the_right_to_read_alone(tmp_path, monkeypatch):
    (tmp_path / "lock").touch()
    allowed = os.open

    def open_to_read(file, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return allowed(file, flags, *mode)

    monkeypatch.setattr(locks.os, "open", open_to_read)
    with wait_for_lock(tmp_path / "lock", "x"):
        assert is_locked(tmp_path / "lock")


def test_a_lock_that_another_user_keeps_to_himself_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks.os, "open", refuse)
    with (
        pytest.raises(SetupError, match="belongs to another user") as refused,
        wait_for_lock(tmp_path / "lock", "x"),
    ):
        pass
    assert "chmod a+r" in str(refused.value)
