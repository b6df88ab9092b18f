"""`python -m resources.demo_s3`: the demo with lake and landing in a bucket, on this machine.

The bucket tells a queue of each file in landing, as in production. Both are in the memory of a
server that ends with this command, also by Ctrl-C; nothing of it stays.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from lakehouse.errors import SetupError
from lakehouse.project.process_settings import EVENT_BATCH_SIZE
from resources.s3_server import run_server
from resources.ui import note_requests, signal_group

_BUCKET, _REGION, _KEY = "lakehouse", "eu-central-1", "any"
_DAYS = 20  # of sample files
_GRACE = 2.0  # seconds in which a command may end by itself
_POLL = 0.05
_INTERRUPTED = 128 + signal.SIGINT


def run_demo_s3(requests: Sequence[int], days: int = _DAYS) -> int:
    """Runs the demo on sample files in a bucket, and says how it ended.

    Args:
        requests: gets the signals that ask this process to end.
        days: how many days of sample files.

    Returns:
        The exit code of the demo.

    Raises:
        SetupError: the server does not start.
        KeyboardInterrupt: this process was asked to end.
    """
    with run_server() as url, TemporaryDirectory(prefix="lakehouse-s3-") as folder:
        if not url:
            raise SetupError(
                "moto, which plays S3 here, does not start; its error stands above.\n"
                "Next: `make demo-s3` installs it."
            )
        queue = _make_bucket(url)
        _say(f"An S3 server runs on {url}. It is in memory, and ends with this command.")
        settings = _build_settings(url, queue, Path(folder))
        code = _call(requests, settings, "samples", "--days", str(days), is_quiet=True)
        if code == 0:
            _say(f"Delivered sample files of {days} days to {settings['LAKEHOUSE_LANDING']}.")
            code = _call(requests, settings, "demo")
        line = _describe_end(url, queue, code)
    _say(line)
    return code


def _client(service: str, url: str) -> Any:  # noqa: ANN401, boto3 makes its classes when called
    known = {"aws_access_key_id": _KEY, "aws_secret_access_key": _KEY, "region_name": _REGION}
    return boto3.client(service, endpoint_url=url, **known)


def _make_bucket(url: str) -> str:
    """Makes the bucket, and a queue that it tells of files in landing; returns the queue's URL."""
    s3, sqs = _client("s3", url), _client("sqs", url)
    s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": _REGION})
    queue: str = sqs.create_queue(QueueName="landing")["QueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    only_landing = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "landing/"}]}}
    sending = {
        "QueueArn": told["Attributes"]["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": only_landing,
    }
    s3.put_bucket_notification_configuration(
        Bucket=_BUCKET, NotificationConfiguration={"QueueConfigurations": [sending]}
    )
    return queue


def _build_settings(url: str, queue: str, folder: Path) -> dict[str, str]:
    """Returns the environment of the commands; a lake that `.env` or a shell names stays alone."""
    home = folder / "dagster"
    home.mkdir()
    if (ours := Path.cwd() / "dagster.yaml").exists():
        shutil.copyfile(ours, home / "dagster.yaml")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "AWS_"))}
    places = {
        "LAKEHOUSE_DATA": str(folder),
        "LAKEHOUSE_LAKE": f"s3://{_BUCKET}/lake",
        "LAKEHOUSE_LANDING": f"s3://{_BUCKET}/landing",
        "LAKEHOUSE_LANDING_QUEUE": queue,
        "DAGSTER_HOME": str(home),
        EVENT_BATCH_SIZE: "1000",
    }
    # Each variable, because `.env` may hold others.
    credentials = {
        "LAKEHOUSE_STORAGE_SECRET": "",
        "LAKEHOUSE_STORAGE_OPTIONS": json.dumps({}),
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _KEY,
        "AWS_SESSION_TOKEN": _KEY,
        "AWS_REGION": _REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ALLOW_HTTP": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return {**kept, **places, **credentials}


def _call(
    requests: Sequence[int],
    settings: Mapping[str, str],
    *arguments: str,
    is_quiet: bool = False,
) -> int:
    """Calls the command `lakehouse`; returns its exit code.

    Raises:
        KeyboardInterrupt: this process was asked to end; so the command was ended.
    """
    command = [str(Path(sys.executable).parent / "lakehouse"), *arguments]
    out = subprocess.DEVNULL if is_quiet else None
    # A group of its own, which is told to end once, however the request came.
    child = subprocess.Popen(command, env=settings, stdout=out, start_new_session=True)  # noqa: S603
    while child.poll() is None and not requests:
        time.sleep(_POLL)
    if not requests:
        return child.returncode
    signal_group(child.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE)
    signal_group(child.pid, signal.SIGKILL)
    child.wait()
    raise KeyboardInterrupt


def _describe_end(url: str, queue: str, code: int) -> str:
    pages = _client("s3", url).get_paginator("list_objects_v2").paginate(Bucket=_BUCKET)
    count = sum(page["KeyCount"] for page in pages)
    name = "ApproximateNumberOfMessages"
    told = _client("sqs", url).get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    ended = (
        "The demo on S3 ended well" if code == 0 else f"The demo on S3 failed (exit code {code})"
    )
    return (
        f"\n{ended}: the bucket held {count:,} objects, and the queue "
        f"{told['Attributes'][name]} messages. The server has ended, and "
        "nothing of it is left.\nThe commands above need a lake that stays: `make demo` makes one, "
        "and docs/s3.md says how to use a bucket of your own."
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Runs the demo until it ends or this process is asked to end."""
    try:
        with note_requests() as requests:
            sys.exit(run_demo_s3(requests, *map(int, sys.argv[1:])))
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _say("\nThe demo on S3 was stopped. The server has ended, and nothing of it is left.")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
