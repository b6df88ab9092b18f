"""A test that CI skips fails, so that nothing goes untested unnoticed."""

from types import SimpleNamespace

import pytest
from support import skips


def skipped(monkeypatch, tmp_path, *, in_ci: bool, marks: tuple[str, ...] = (), has_data=False):
    """The outcome of a skipped test with some markers."""
    if in_ci:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(skips, "SHARED", tmp_path if has_data else tmp_path / "missing")
    item = SimpleNamespace(get_closest_marker=lambda name: name if name in marks else None)
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr="no such tool")
    skips.fail_in_ci(item, report)
    return report.outcome


def test_a_skipped_test_fails_in_ci(monkeypatch, tmp_path):
    assert skipped(monkeypatch, tmp_path, in_ci=True) == "failed"


def test_a_skipped_test_is_skipped_outside_ci(monkeypatch, tmp_path):
    assert skipped(monkeypatch, tmp_path, in_ci=False) == "skipped"


@pytest.mark.parametrize(("has_data", "outcome"), [(False, "skipped"), (True, "failed")])
def test_a_test_with_real_data_is_skipped_in_ci_only_without_the_data(
    monkeypatch, tmp_path, has_data, outcome
):
    found = skipped(monkeypatch, tmp_path, in_ci=True, marks=("real_data",), has_data=has_data)
    assert found == outcome
