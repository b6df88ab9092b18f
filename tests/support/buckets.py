"""Lakes in a bucket, for tests: the same worlds as in `worlds`, behind an S3 API."""

from pathlib import Path
from typing import Any

import boto3
import obstore

from lakehouse.catalog import Catalog
from lakehouse.environment import Environment
from lakehouse.lake import Lake
from lakehouse.sources.landing import Landing
from lakehouse.stores import open_store
from support.worlds import retail

REGION = "eu-central-1"
KEY, SECRET = "AKIDLAKEHOUSETESTS", "a-secret/key+that=must-stay-secret"


def options(endpoint: str) -> dict[str, str]:
    """The storage options of a server on loopback."""
    return {
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true",
    }


def client(endpoint: str) -> Any:
    """AWS's own client of a server."""
    known = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
    return boto3.client("s3", endpoint_url=endpoint, **known)


def make_bucket(endpoint: str, name: str) -> str:
    """A new bucket."""
    client(endpoint).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def keys(endpoint: str, bucket: str) -> list[str]:
    """Everything that lies in a bucket."""
    store = open_store(f"s3://{bucket}", options(endpoint))
    return sorted(str(found["path"]) for page in obstore.list(store) for found in page)


def put_all(here: Environment, folder: Path) -> None:
    """Deliver every file of a folder of samples."""
    store = open_store(here.landing.root, here.landing.options)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        obstore.put(store, file.relative_to(folder).as_posix(), file)


def put(here: Environment, table: str, name: str, text: str) -> None:
    """Deliver a file of some text."""
    client(here.landing.options["aws_endpoint_url"]).put_object(
        Bucket=here.landing.root.split("/")[2], Key=f"landing/{table}/{name}", Body=text.encode()
    )


def bucket_world(endpoint: str, bucket: str, catalog: Catalog | None = None, **more: str) -> Environment:
    """An empty lake and landing zone in a bucket that exists."""
    opts = {**options(endpoint), **more}
    landing = Landing(f"s3://{bucket}/landing", opts, rest_seconds=0)
    return Environment(Lake(f"s3://{bucket}/lake", opts), landing, catalog or retail())
