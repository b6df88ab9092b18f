"""Credentials: from the environment, a role or Secrets Manager, and never in what a run stores."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import obstore
import pytest
from support.buckets import bucket_world

from campaign.buckets import KEY, REGION, SECRET, build_options, create_client
from lakehouse.errors import SetupError
from lakehouse.project import credentials, settings
from lakehouse.storage import duckdb_connection
from lakehouse.storage.object_store import open_store

ROOT = Path(__file__).resolve().parents[2]
ROLE = {
    "AccessKeyId": KEY,
    "SecretAccessKey": SECRET,
    "Token": "a-token",
    "Expiration": "2099-01-01T00:00:00Z",
}
NAMED = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
LAND = """
from lakehouse.observe import sql
from lakehouse.project.composition import load_environment
from lakehouse.definitions import definitions
from lakehouse.ingest.land import land
import dagster as dg
here = load_environment()
job = definitions(here).resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.get() as instance:
    done = job.execute_in_process(asset_selection=[dg.AssetKey(["raw", "fx_rates"])], instance=instance)
print(here, definitions(here), done.success, *sql.run_query(here.lake, "select count(*) from raw.fx_rates")[1])
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the checkout may have a `.env`
    for name in [name for name in os.environ if name.startswith(("LAKEHOUSE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAKEHOUSE_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    duckdb_connection._find_credentials.cache_clear()


def told() -> dict[str, str]:
    return {
        name: value.get_secret_value()
        for name, value in credentials.read_options(settings.load_settings()).items()
    }


def test_the_variables_of_aws_fill_what_the_settings_leave_out(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("LAKEHOUSE_STORAGE_OPTIONS", '{"aws_region": "eu-north-1"}')
    assert told() == {**NAMED, "aws_region": "eu-north-1"}


def test_keys_of_two_identities_are_never_mixed(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another")
    monkeypatch.setenv("LAKEHOUSE_STORAGE_OPTIONS", json.dumps(NAMED))
    assert told() == NAMED


def test_lines_of_aws_in_env_count_for_every_command(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text(f"AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY={SECRET}\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")  # so that what is set here is taken back
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert told() == NAMED


@pytest.fixture
def manager(server, monkeypatch):
    """AWS Secrets Manager."""
    for name, value in (*((n.upper(), v) for n, v in NAMED.items()), ("AWS_REGION", REGION)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server)
    yield (made := boto3.client("secretsmanager", region_name=REGION))
    made.close()


def test_a_secret_is_read_from_secrets_manager(manager, monkeypatch):
    manager.create_secret(Name="lake", SecretString=json.dumps({**NAMED, "aws_session_token": "t"}))
    monkeypatch.setenv("LAKEHOUSE_STORAGE_SECRET", "lake")
    assert told() == {**NAMED, "aws_session_token": "t", "aws_region": REGION}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "ResourceNotFound"),
        ("hush-hush", "no storage options"),
        ('["hush-hush"]', "no storage options"),
    ],
)
def test_a_secret_that_is_no_help_is_told_of_and_not_shown(manager, monkeypatch, text, said):
    if text is not None:
        manager.create_secret(Name=f"poor-{len(text)}", SecretString=text)
    monkeypatch.setenv("LAKEHOUSE_STORAGE_SECRET", f"poor-{len(text or '')}")
    with pytest.raises(
        SetupError, match=f"LAKEHOUSE_STORAGE_SECRET names .*{said}.*\nNext: "
    ) as refused:
        told()
    assert "hush-hush" not in str(refused.value)


class Keys(BaseHTTPRequestHandler):
    """What a container asks for the keys of its role."""

    def do_GET(self) -> None:
        self._say(json.dumps(ROLE))

    def _say(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Instance(Keys):
    """What a machine asks for the keys of its role: the metadata service of EC2, version 2, which requires a token."""

    def do_PUT(self) -> None:
        self._say("a-session" if self.path == "/latest/api/token" else "", 200)

    def do_GET(self) -> None:
        if self.headers.get("x-aws-ec2-metadata-token") != "a-session":
            self._say("", 401)
        elif self.path.rstrip("/") == "/latest/meta-data/iam/security-credentials":
            self._say("lake-role")
        elif self.path == "/latest/meta-data/iam/security-credentials/lake-role":
            self._say(
                json.dumps(
                    {
                        "Code": "Success",
                        "Type": "AWS-HMAC",
                        "LastUpdated": "2026-01-01T00:00:00Z",
                        **ROLE,
                    }
                )
            )
        else:
            self._say("", 404)


@contextmanager
def role(kind: type[Keys] = Keys) -> Iterator[str]:
    """Where the keys of a role are available."""
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


READ = """
import json, sys
from assets.retail.raw import fx_rates
from lakehouse.observe import sql
from lakehouse.storage.lake import Lake
from lakehouse.ingest.land import land
from lakehouse.ingest.files.landing_zone import Landing
lake, landing, options = json.loads(sys.argv[1])
lake = Lake(lake, options)
land(lake, Landing(landing, options), fx_rates)
print(lake.scan("raw/fx_rates").collect().height, *sql.run_query(lake, "select count(*) from raw.fx_rates")[1])
"""


@pytest.mark.full
def test_every_client_takes_the_keys_of_a_role(proxy, bucket, monkeypatch, tmp_path):
    known = {name: value for name, value in build_options(proxy.url).items() if "key" not in name}
    known["aws_metadata_endpoint"] = "http://127.0.0.1:9"  # so that nobody asks the machine itself
    here = bucket_world(proxy.url, bucket)
    create_client(proxy.url).put_object(
        Bucket=bucket, Key="landing/fx_rates/a.csv", Body=b"Date,USD\n2010-12-01,1.3\n"
    )
    (tmp_path / "token").write_text("a-token")
    signed: list[str] = []
    proxy.plan = lambda asked: signed.append(asked.headers.get("authorization", ""))
    with role() as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/keys")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        done = python(READ, json.dumps([here.lake.root, here.landing.root, known]))
    assert done.stdout == "1 (1,)\n", done.stderr
    assert {KEY in one for one in signed} == {True}


def test_every_client_takes_the_keys_of_the_role_of_its_machine(proxy, bucket, monkeypatch):
    known = {name: value for name, value in build_options(proxy.url).items() if "key" not in name}
    here = bucket_world(proxy.url, bucket)
    create_client(proxy.url).put_object(
        Bucket=bucket, Key="landing/fx_rates/a.csv", Body=b"Date,USD\n2010-12-01,1.3\n"
    )
    signed: list[str] = []
    proxy.plan = lambda asked: signed.append(asked.headers.get("authorization", ""))
    with role(Instance) as url:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT", url
        )  # as delta-rs and botocore name it
        known["aws_metadata_endpoint"] = url  # as obstore and Polars do
        done = python(READ, json.dumps([here.lake.root, here.landing.root, known]))
    assert done.stdout == "1 (1,)\n", done.stderr
    assert {KEY in one for one in signed} == {True}


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Some code in a process of its own, with the settings of the test."""
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=known, capture_output=True, text=True, check=False)


def test_a_run_leaves_no_secret_behind(proxy, bucket, monkeypatch, tmp_path):
    create_client(proxy.url).put_object(
        Bucket=bucket, Key="landing/fx_rates/a.csv", Body=b"Date,USD\n2010-12-01,1.3\n"
    )
    (tmp_path / "home").mkdir()
    for name, value in {
        "LAKEHOUSE_LAKE": f"s3://{bucket}/lake",
        "LAKEHOUSE_LANDING": f"s3://{bucket}/landing",
        "LAKEHOUSE_STORAGE_OPTIONS": json.dumps(build_options(proxy.url)),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "RUST_LOG": "info",
    }.items():
        monkeypatch.setenv(name, value)
    good = python(LAND)
    assert good.stdout.endswith("True (1,)\n"), good.stderr
    monkeypatch.setenv("LAKEHOUSE_LAKE", "s3://no-such-bucket/lake")
    bad = python(LAND)
    assert (bad.returncode, "NoSuchBucket" in bad.stderr) == (1, True), bad.stderr
    store = open_store(f"s3://{bucket}", build_options(proxy.url))
    objects = [
        bytes(obstore.get(store, str(o["path"])).bytes())
        for page in obstore.list(store)
        for o in page
    ]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [text.encode() for text in (good.stdout, good.stderr, bad.stdout, bad.stderr)]
    assert len(files) > 3
    assert len(objects) > 3
    assert [one[:200] for one in (*objects, *files, *said) if SECRET.encode() in one] == []
