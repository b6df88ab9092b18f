"""An SQS queue, or one that answers like it: receiving some messages, and deleting some of them.

Belongs here: the queue and its errors in one line. Does not belong here: what the messages say
(`ingest/landing_messages.py`).
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lakehouse.errors import OutageError
from lakehouse.storage.object_store import describe_store_error
from lakehouse.url_secrets import has_user

_AT_ONCE = 10  # messages in one request; SQS takes no more
_MOST_MESSAGES = 1_000
_LONGEST_SECONDS = 3.0
_REGION = re.compile(r"\b([a-z]{2}(?:-[a-z]+)+-\d+)\b")
_OWN_ENDPOINT = "AWS_ENDPOINT_URL_SQS"


class QueuedMessage(NamedTuple):
    """A message that was received and not deleted.

    Attributes:
        receipt: what the queue asks for to delete it.
        body: its text.
    """

    receipt: str
    body: str


def find_queue_problem(url: str) -> str | None:
    """Returns why a text is not the URL of a queue; None if it is one."""
    if has_user(url):
        return "names a user or a key before its host; the queue takes the credentials of the lake"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        example = "https://sqs.eu-central-1.amazonaws.com/123456789012/landing"
        return f"is no URL of a queue; write one such as {example}"
    return None


@dataclass(frozen=True)
class MessageQueue:
    """A queue of messages.

    Attributes:
        url: its URL, as SQS names it.
        options: object store options, of which credentials and region are taken; never logged.
        hidden_seconds: how long a received message stays hidden. Then it comes back, unless it was
            deleted.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden_seconds: int = field(default=30, kw_only=True)

    def receive(self) -> list[QueuedMessage]:
        """Receives the messages that wait, at most 1,000 of them and for about three seconds.

        Raises:
            OutageError: the queue does not answer, or refuses.
        """
        deadline, found = time.monotonic() + _LONGEST_SECONDS, list[QueuedMessage]()
        with self._translate_errors():
            while len(found) < _MOST_MESSAGES and time.monotonic() < deadline:
                answer = self._client.receive_message(
                    QueueUrl=self.url,
                    MaxNumberOfMessages=_AT_ONCE,
                    WaitTimeSeconds=0,
                    VisibilityTimeout=self.hidden_seconds,
                )
                # SQS may answer with fewer messages than wait; none at all ends it.
                if not (some := answer.get("Messages")):
                    break
                found += [QueuedMessage(one["ReceiptHandle"], one["Body"]) for one in some]
        return found

    def delete(self, messages: Sequence[QueuedMessage]) -> None:
        """Deletes messages. One that the queue keeps all the same comes back later.

        Raises:
            OutageError: the queue does not answer, or refuses.
        """
        with self._translate_errors():
            for start in range(0, len(messages), _AT_ONCE):
                some = messages[start : start + _AT_ONCE]
                entries = [
                    {"Id": str(number), "ReceiptHandle": one.receipt}
                    for number, one in enumerate(some)
                ]
                self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401, boto3 makes its classes when it is called
        # Without a queue no process waits for these imports.
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        parts = urlsplit(self.url)
        region = _REGION.search(parts.hostname or "")
        plain = {name.lower().removeprefix("aws_"): text for name, text in self.options.items()}
        # A tick of a sensor has a minute in all, so a queue that is silent is given up soon.
        patience = Config(
            connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
        )
        return boto3.session.Session().client(
            "sqs",
            # The queue's own host: the endpoint of a bucket, such as MinIO's, has no queues.
            endpoint_url=None
            if os.environ.get(_OWN_ENDPOINT)
            else f"{parts.scheme}://{parts.netloc}",
            region_name=region[1] if region else plain.get("region"),
            aws_access_key_id=plain.get("access_key_id"),
            aws_secret_access_key=plain.get("secret_access_key"),
            aws_session_token=plain.get("session_token", plain.get("token")),
            config=patience,
        )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turns the errors of the queue into short ones; each means that nothing is known."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except (BotoCoreError, ClientError, ValueError) as error:  # the last for a wrong host
            raise OutageError(
                f"The queue {self.url} does not answer: "
                f"{describe_store_error(error, self.options)}\n"
                "Next: check LAKEHOUSE_LANDING_QUEUE, and that this process may receive and delete "
                "its messages."
            ) from None
