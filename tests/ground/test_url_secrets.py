"""No text of the engine shows a secret that stands in an address."""

import obstore
import polars as pl
import pytest
from obstore.store import S3Store
from support.worlds import retail, world

from lakehouse import errors
from lakehouse.errors import OutageError, SetupError
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.observe import sql
from lakehouse.project.credentials import read_options
from lakehouse.project.settings import load_settings
from lakehouse.redaction import redact
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import describe_store_error, translate_store_errors
from lakehouse.url_secrets import has_user, hide_url_secrets

HUSH = "hu5h"
SECRET = {
    "s3://AKIA:hu5h@bucket/lake": "s3://…@bucket/lake",
    "S3A://AKIA:hu5h@bucket": "S3A://…@bucket",
    "s3://AKIA:hu5h/a+b/c=@bucket/lake": "s3://…@bucket/lake",
    "http://user:hu5h@host:9000/b?list-type=2&prefix=lake/": "http://…@host:9000/b?list-type=2&prefix=lake/",
    "https://hu5h@host/x": "https://…@host/x",
    "https://:hu5h@host": "https://…@host",
    "http://user:hu5h@hu5h@host/x": "http://…@host/x",
    "http:/user:hu5h@host/x": "http:/…@host/x",
    "postgresql+psycopg://me:hu5h@db:5432/x?sslmode=require": "postgresql+psycopg://…@db:5432/x?sslmode=…",
    "abfss://me:hu5h@account.dfs.core.windows.net": "abfss://…@account.dfs.core.windows.net",
    "https://b.s3.amazonaws.com/k?X-Amz-Credential=hu5h%2F2026&X-Amz-Signature=hu5h": (
        "https://b.s3.amazonaws.com/k?X-Amz-Credential=…&X-Amz-Signature=…"
    ),
    "https://a.blob.core.windows.net/c?sv=2024&sig=hu5h%3D": (
        "https://a.blob.core.windows.net/c?sv=…&sig=…"
    ),
    "https://api.io/v1;token=hu5h?key=hu5h#access_token=hu5h": (
        "https://api.io/v1;token=…#access_token=…"
    ),
    "GET /bucket/key?X-Amz-Signature=hu5h&prefix=a HTTP/1.1": (
        "GET /bucket/key?X-Amz-Signature=…&prefix=a HTTP/1.1"
    ),
    "host=db password=hu5h user=me": "host=db password=… user=me",
}
HARMLESS = [
    "s3://bucket/lake",
    "abfss://container@account.dfs.core.windows.net/lake",
    "http://minio:9000/bucket/a@b.csv",
    "http://[::1]:9000/bucket?list-type=2&prefix=lake%2Fstaged&delimiter=/",
    "write to me@example.com",
    "quantity = 3, rule a=b @ c",
    "/data/landing/odd=name@host:x.csv",
    "the column token is text",
    "10:30:00@place",
]


@pytest.mark.parametrize("text", SECRET)
@pytest.mark.parametrize("frame", ["{}", "cannot open '{}': refused", 'at "{}"\nNext: {}, or so.'])
def test_a_secret_in_an_address_is_hidden_wherever_it_stands(text, frame):
    shown = hide_url_secrets(frame.format(text, text))
    assert HUSH not in shown
    assert SECRET[text] in shown
    assert hide_url_secrets(shown) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert hide_url_secrets(text) == text
    assert not has_user(text)


KINDS = {
    name: one
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, errors.LakehouseError)
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_error_of_the_engine_shows_a_secret(kind):
    error = kind(f"cannot read {next(iter(SECRET))}")
    assert HUSH not in f"{error} {error!r} {error.args}"


@pytest.mark.parametrize("place", ["s3://AKIA:hu5h@bucket/lake", "s3://hu5h@b", "s3://A:h/u5h@b/x"])
@pytest.mark.parametrize("setting", ["LAKE", "LANDING"])
def test_a_setting_with_a_key_in_its_address_is_refused_and_not_shown(
    monkeypatch, tmp_path, place, setting
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"LAKEHOUSE_{setting}", place)
    with pytest.raises(SetupError, match=f"LAKEHOUSE_{setting}: names a user or a key") as refused:
        load_settings()
    assert "LAKEHOUSE_STORAGE_OPTIONS" in str(refused.value)
    assert HUSH not in str(refused.value)


@pytest.mark.parametrize("kind", [Lake, Landing])
def test_a_lake_and_a_landing_zone_take_no_key_in_their_address(kind):
    with pytest.raises(SetupError, match="names a user or a key") as refused:
        kind("s3://AKIA:hu5h@bucket/x")
    assert HUSH not in str(refused.value)


def test_an_endpoint_with_a_password_is_refused_by_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{HUSH}@127.0.0.1:9")
    with pytest.raises(SetupError, match="aws_endpoint_url names a user") as refused:
        read_options(load_settings())
    assert HUSH not in str(refused.value)


def test_a_store_that_does_not_answer_is_named_without_its_password():
    options = {
        "aws_endpoint_url": f"http://user:{HUSH}@127.0.0.1:9",
        "aws_region": "eu-central-1",
        "aws_access_key_id": "key-id",
        "aws_secret_access_key": "key-itself",
    }
    store = S3Store(
        "bucket",
        config=options,
        client_options={"allow_http": True, "proxy_url": f"http://me:{HUSH}@127.0.0.1:9"},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(OutageError) as told, translate_store_errors("s3://bucket/lake", options):
        obstore.list_with_delimiter(store)
    assert HUSH not in str(told.value)
    assert told.value.__cause__ is None


def test_an_error_of_another_library_is_told_without_the_secret_in_its_address():
    error = OSError(f"error sending request for url (http://u:{HUSH}@h/b?sig={HUSH})")
    assert HUSH not in describe_store_error(error, {})
    assert HUSH not in redact(pl.exceptions.SchemaError(str(error)))


def test_a_query_that_names_an_address_with_a_secret_is_refused_without_it(tmp_path):
    here = world(tmp_path, retail())
    for query in (
        f"FROM 's3://a:{HUSH}@b/x.parquet'",
        f"SELECT 1 FROM delta_scan('http://u:{HUSH}@h')",
    ):
        with pytest.raises(SetupError) as refused:
            sql.run_query(here.lake, query)
        assert HUSH not in str(refused.value)
