"""Lakes in a bucket behind an S3 API: the buckets, their content, a lake and a landing zone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import obstore

from campaign.children import SMALL_LIMITS
from lakehouse.environment import Environment
from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import open_store
from lakehouse.tables.catalog import Catalog

REGION = "eu-central-1"
KEY, SECRET = "AKIDLAKEHOUSETESTS", "a-secret/key+that=must-stay-secret"


def build_options(endpoint: str) -> dict[str, str]:
    """Returns the storage options of a server on loopback."""
    return {
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true",
    }


def create_client(endpoint: str) -> Any:  # noqa: ANN401, boto3 makes its classes when it is called
    """Returns AWS's own client for a server."""
    known = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
    return boto3.client("s3", endpoint_url=endpoint, **known)


def make_bucket(endpoint: str, name: str) -> str:
    """Makes a new bucket."""
    create_client(endpoint).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return name


def list_keys(endpoint: str, bucket: str) -> list[str]:
    """Lists everything in a bucket."""
    store = open_store(f"s3://{bucket}", build_options(endpoint))
    return sorted(str(found["path"]) for page in obstore.list(store) for found in page)


def upload(endpoint: str, bucket: str, prefix: str, folder: Path, files: Iterable[Path]) -> None:
    """Puts the files of a folder into a bucket, below a prefix."""
    store = open_store(f"s3://{bucket}", build_options(endpoint))
    for file in files:
        obstore.put(store, f"{prefix}/{file.relative_to(folder).as_posix()}", file)


def download(endpoint: str, bucket: str, folder: Path) -> None:
    """Downloads everything in a bucket into a folder."""
    store = open_store(f"s3://{bucket}", build_options(endpoint))
    for key in list_keys(endpoint, bucket):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(bytes(obstore.get(store, key).bytes()))


def empty_bucket(endpoint: str, bucket: str) -> None:
    """Deletes everything in a bucket."""
    obstore.delete(
        open_store(f"s3://{bucket}", build_options(endpoint)), list_keys(endpoint, bucket)
    )


def open_environment(endpoint: str, bucket: str, catalog: Catalog, **more: str) -> Environment:
    """Opens the lake and the landing zone in a bucket; its files count as complete at once."""
    opts = {**build_options(endpoint), **more}
    landing = Landing(f"s3://{bucket}/landing", opts, rest_seconds=0)
    return Environment(Lake(f"s3://{bucket}/lake", opts, limits=SMALL_LIMITS), landing, catalog)
