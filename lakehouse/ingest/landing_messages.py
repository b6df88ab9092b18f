"""Messages about objects in landing: which raw tables they name, and which tables to list.

A message only saves time. It says where to look, and the listing says what is there, so a message
that is lost, late, doubled or wrong changes no row.

Belongs here: the forms of such messages, and what to list because of them. Does not belong here:
the queue (`storage/message_queue.py`), and the listing (`files/landing_zone.py`).
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from lakehouse.errors import OutageError
from lakehouse.storage.message_queue import MessageQueue, QueuedMessage
from lakehouse.tables.table_types import RawTable

_MOST_WRAPPINGS = 3
"""EventBridge may publish to SNS, and SNS wraps what it sends."""

_READS = "ObjectAccessed"
"""MinIO can tell of reads, also of our own."""

Place = tuple[str, str | None]
"""A bucket, and the key of an object in it; None for a message about the bucket itself."""


def list_places(body: str) -> list[Place] | None:
    """Lists the objects of which a message tells; None if it is no message of an object store.

    S3's form is read, which MinIO has too, and EventBridge's, both also as SNS wraps them.
    Whether an object came or went makes no difference: landing is looked at in both cases.
    """
    text: object = body
    for _ in range(_MOST_WRAPPINGS):
        decoded = _decode(text)
        if decoded is None:
            return None
        if decoded.get("Type") != "Notification":
            return _read_places(decoded)
        text = decoded.get("Message")
    return None


def _decode(text: object) -> Mapping[str, Any] | None:
    try:
        decoded = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _read_places(told: Mapping[str, Any]) -> list[Place] | None:
    if told.get("Event") == "s3:TestEvent" and isinstance(told.get("Bucket"), str):
        return [(told["Bucket"], None)]
    if told.get("source") == "aws.s3":
        # EventBridge writes keys as they are.
        return [place] if (place := _read_place(told.get("detail"))) else None
    records = told.get("Records")
    if not isinstance(records, list):
        return None
    places = [place for record in records if (place := _read_record(record))]
    return places or None


def _read_record(record: object) -> Place | None:
    place = _read_place(record.get("s3")) if isinstance(record, dict) else None
    if place is None or not isinstance(record, dict):
        return None
    bucket, key = place
    is_read = _READS in str(record.get("eventName"))
    # S3 and MinIO encode a key like a form: a space is a plus sign.
    return bucket, None if is_read or key is None else unquote_plus(key)


def _read_place(told: object) -> Place | None:
    match told:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}:
            return bucket, key
        case {"bucket": {"name": str(bucket)}}:
            return bucket, None
    return None


@dataclass(frozen=True)
class Received:
    """What a queue said at one look.

    Attributes:
        about: the messages about the bucket of landing, each with the raw tables that it names.
        foreign: how many others there are. They stay in the queue.
        problem: why the queue did not answer; None if it did.
    """

    about: Mapping[QueuedMessage, frozenset[str]]
    foreign: int = 0
    problem: str | None = None

    @property
    def named(self) -> frozenset[str]:
        """The raw tables that some message names."""
        return frozenset().union(*self.about.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: why all of landing was listed, and what stays in the queue."""
        if self.problem:
            return (f"all of landing was listed. {self.problem}",)
        if self.foreign:
            count = f"messages in the queue that are not about landing's bucket: {self.foreign:,}"
            return (f"{count}; they stay there, so give landing a queue of its own",)
        return ()

    def select_done(self, requested: Collection[str]) -> list[QueuedMessage]:
        """Selects the messages that have served.

        A message about a table for which a run is requested now comes back, and has served when the
        request is kept and nothing else is new.

        Args:
            requested: the raw tables for which a run is requested.
        """
        return [message for message, tables in self.about.items() if tables.isdisjoint(requested)]


def receive_messages(queue: MessageQueue, root: str, raw_tables: Sequence[RawTable]) -> Received:
    """Receives what waits in a queue; a queue that does not answer is told of, and no error."""
    try:
        return sort_messages(queue.receive(), root, raw_tables)
    except OutageError as error:
        return Received({}, problem=str(error))


def sort_messages(
    messages: Sequence[QueuedMessage], root: str, raw_tables: Sequence[RawTable]
) -> Received:
    """Sorts messages by the raw tables that they name.

    Args:
        messages: what was received.
        root: the landing zone, such as `s3://bucket/landing`.
        raw_tables: the declared raw tables.
    """
    bucket, _, prefix = root.partition("://")[2].partition("/")
    folders = {
        f"{prefix.strip('/')}/{table.landing}/".lstrip("/"): table.name for table in raw_tables
    }
    about = {}
    for message in messages:
        keys = [key for place, key in list_places(message.body) or () if place == bucket]
        if keys:
            about[message] = frozenset(_name_tables(keys, folders))
    return Received(about, len(messages) - len(about))


def _name_tables(keys: Sequence[str | None], folders: Mapping[str, str]) -> Iterator[str]:
    for key in keys:
        yield from (name for folder, name in folders.items() if key and key.startswith(folder))


def choose_tables(
    raw_tables: Sequence[RawTable],
    received: Received | None,
    *,
    is_due: bool,
    retried: Collection[str],
) -> tuple[RawTable, ...]:
    """Returns the raw tables to list.

    Args:
        raw_tables: the declared raw tables.
        received: what the queue said; None without a queue.
        is_due: whether all of landing is to be listed by now.
        retried: raw tables whose last run failed and is to be tried again.
    """
    if received is None or received.problem or is_due:
        return tuple(raw_tables)
    wanted = {*received.named, *retried}
    return tuple(table for table in raw_tables if table.name in wanted)
