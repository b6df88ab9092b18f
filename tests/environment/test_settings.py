"""Wrong settings are reported all at once, with the next step, before anything is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.errors import SetupError
from lakehouse.ingest.limits import DEFAULT_LIMITS, set_limits
from lakehouse.project import settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the checkout may have a `.env`
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    with pytest.raises(SetupError) as refused:
        settings.load_settings()
    return str(refused.value)


def test_a_laptop_needs_no_setting():
    assert settings.load_settings().lake_uri == str(Path.cwd() / "data" / "lake")


def test_an_unknown_setting_is_refused_and_the_known_ones_are_named(monkeypatch):
    told = refusal(monkeypatch, LAEK="x")
    assert "LAKEHOUSE_LAEK is not a setting" in told
    assert "The settings are LAKEHOUSE_DATA, " in told
    assert "LAKEHOUSE_LAKE, LAKEHOUSE_LANDING" in told
    assert "LAKEHOUSE_KILL_AT" not in told


def test_an_option_is_named_as_it_was_written(monkeypatch):
    assert "LAKEHOUSE_STORAGE_OPTIONS at a: Input should be" in refusal(
        monkeypatch, STORAGE_OPTIONS='{"a": 3}'
    )


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
def test_rest_seconds_must_be_a_number_from_zero(monkeypatch, value):
    assert "LAKEHOUSE_REST_SECONDS: " in refusal(monkeypatch, REST_SECONDS=value)


@pytest.mark.parametrize("value", ["{", '"text"', "[1]", ""])
def test_storage_options_have_to_be_an_object_in_json(monkeypatch, value):
    assert "LAKEHOUSE_STORAGE_OPTIONS: " in refusal(monkeypatch, STORAGE_OPTIONS=value)


def test_an_empty_place_is_refused(monkeypatch):
    assert "LAKEHOUSE_LAKE: " in refusal(monkeypatch, LAKE=" ")


def test_an_empty_folder_for_the_data_is_refused(monkeypatch):
    assert "LAKEHOUSE_DATA: " in refusal(monkeypatch, DATA="")


@pytest.mark.parametrize("place", ["s3://", "s3:///x", "s3:/x", "S3:/bucket/x"])
def test_a_place_without_a_bucket_is_refused(monkeypatch, place):
    told = refusal(monkeypatch, LAKE=place, LANDING=place)
    assert told.count("names no bucket; write") == 2


@pytest.mark.parametrize("place", ["ftp://x/y", "c:/x", "file:///x", "http://x/y"])
def test_a_place_of_an_unknown_scheme_is_refused(monkeypatch, place):
    assert "has the unknown scheme" in refusal(monkeypatch, LAKE=place)


@pytest.mark.parametrize(
    "place", ["s3://bucket/my lake", "s3://bucket/sjö", "s3://bucket/a%20b", "s3://bucket/a#b"]
)
def test_a_place_in_a_bucket_that_readers_would_not_find_again_is_refused(monkeypatch, place):
    assert "which some clients of a bucket cannot find again" in refusal(monkeypatch, LAKE=place)


def test_a_folder_may_hold_a_colon(monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_LAKE", f"{tmp_path}/a:/b")
    assert settings.load_settings().lake_uri == f"{tmp_path}/a:/b"


def test_every_wrong_setting_is_named_at_once(monkeypatch):
    told = refusal(monkeypatch, LAEK="x", REST_SECONDS="soon", STORAGE_OPTIONS="{", LANDING="")
    names = ("LAEK is not a setting", "REST_SECONDS: ", "STORAGE_OPTIONS: ", "LANDING: ")
    assert [name for name in names if f"LAKEHOUSE_{name}" not in told] == []
    assert told.splitlines()[-1].startswith("Next: ")


def test_no_message_shows_a_secret(monkeypatch):
    told = refusal(
        monkeypatch, STORAGE_OPTIONS='{"aws_secret_access_key": ["hush"]', REST_SECONDS="soon"
    )
    assert "hush" not in told


def test_no_message_shows_a_secret_of_the_wrong_type(monkeypatch):
    assert "hush" not in refusal(monkeypatch, STORAGE_OPTIONS='{"aws_secret_access_key": ["hush"]}')


def test_the_command_reports_a_wrong_setting_without_a_traceback(tmp_path):
    environment = {**os.environ, "LAKEHOUSE_DATA": str(tmp_path / "data"), "LAKEHOUSE_LAEK": "x"}
    command = [Path(sys.executable).parent / "lakehouse", "tables"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "LAKEHOUSE_LAEK is not a setting" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["DAGSTER_HOME", "LAKEHOUSE_DATA"])
def test_a_folder_that_dagster_would_misread_is_refused(monkeypatch, tmp_path, name):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv(name, str(tmp_path / "q? mark"))
    with pytest.raises(SetupError, match=r"misreads \? in the path of a folder.\nNext: "):
        settings.find_dagster_home(settings.load_settings())


def test_the_limits_of_landing_are_a_setting(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_INGEST_LIMITS", '{"columns": 7, "cell_bytes": 9}')
    limits = set_limits(settings.load_settings().ingest_limits)
    assert (limits.columns, limits.cell_bytes) == (7, 9)
    assert limits.rows == DEFAULT_LIMITS.rows


@pytest.mark.parametrize("wanted", ['{"columns": "many"}', "[1]", "{", '{"columns": 1.5}'])
def test_limits_of_the_wrong_form_are_refused(monkeypatch, wanted):
    assert "LAKEHOUSE_INGEST_LIMITS" in refusal(monkeypatch, INGEST_LIMITS=wanted)


def test_every_wrong_limit_is_named_at_once():
    with pytest.raises(SetupError, match=r"(?s)part_bytes is not a limit.*rows is 0, .*Next: "):
        set_limits({"part_bytes": 1, "rows": 0, "columns": 5})


QUEUE = "https://sqs.eu-central-1.amazonaws.com/1234/landing"


@pytest.mark.parametrize(
    ("url", "landing", "told"),
    [
        ("arn:aws:sqs:eu-central-1:1234:landing", "s3://bucket/landing", "is no URL of a queue"),
        ("https://sqs.eu-central-1.amazonaws.com", "s3://bucket/landing", "is no URL of a queue"),
        ("https://key:word@host/1234/landing", "s3://bucket/landing", "before its host"),
        (QUEUE, "landing", "needs landing in a bucket"),
        (QUEUE, "gs://bucket/landing", "needs landing in a bucket"),
    ],
)
def test_a_queue_that_cannot_tell_of_landing_is_refused(monkeypatch, url, landing, told):
    said = refusal(monkeypatch, LANDING_QUEUE=url, LANDING=landing)
    assert f"LAKEHOUSE_LANDING_QUEUE: {told}" in said.replace("names a user or a key ", "")
    assert "key:word" not in said


def test_a_queue_needs_a_landing_zone_that_is_set(monkeypatch):
    assert "needs landing in a bucket" in refusal(monkeypatch, LANDING_QUEUE=QUEUE)
    monkeypatch.setenv("LAKEHOUSE_LANDING", "s3://bucket/landing")
    assert settings.load_settings().landing_queue == QUEUE
