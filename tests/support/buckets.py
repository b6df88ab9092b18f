"""Lakes in a bucket, for tests: the same worlds as in `worlds`, behind an S3 API."""

from pathlib import Path

import obstore

from campaign.buckets import create_client, open_environment
from lakehouse.environment import Environment
from lakehouse.storage.object_store import open_store
from lakehouse.tables.catalog import Catalog
from support.worlds import retail, with_limits


def put_all(here: Environment, folder: Path) -> None:
    """Deliver every file of a folder of samples."""
    store = open_store(here.landing.root, here.landing.options)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        obstore.put(store, file.relative_to(folder).as_posix(), file)


def put(here: Environment, table: str, name: str, text: str) -> None:
    """Deliver a file of some text."""
    create_client(here.landing.options["aws_endpoint_url"]).put_object(
        Bucket=here.landing.root.split("/")[2], Key=f"landing/{table}/{name}", Body=text.encode()
    )


def bucket_world(
    endpoint: str, bucket: str, catalog: Catalog | None = None, **more: str
) -> Environment:
    """An empty lake and landing zone in a bucket that exists; its log is archived as in production."""
    here = open_environment(endpoint, bucket, catalog or retail(), **more)
    return with_limits(here, entries_per_archive_file=500, commits_per_checkpoint=10)
