"""One look of the landing sensor: which raw tables to list, what is new, and which run to request.

Without a queue each look lists all of landing. With one, messages name the tables to list, and all
of landing is listed now and then, or when the queue does not answer.
"""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from lakehouse.environment import Environment
from lakehouse.errors import OutageError
from lakehouse.ingest.land import read_news
from lakehouse.ingest.landing_messages import Received, choose_tables, receive_messages
from lakehouse.orchestration.ingest_job import build_run_config
from lakehouse.orchestration.retries import may_retry
from lakehouse.orchestration.run_requests import TRIGGER
from lakehouse.tables.table_types import RawTable
from lakehouse.wording import escape_lines

LANDING: Mapping[str, str] = {TRIGGER: "landing"}
"""The tags by which runs of the landing sensor are found."""

Asked = dict[str, dict[str, str]]
"""For each raw table its entries for which a run was requested, by a short hash, with its tag."""

# Run tag with a hash of the entries that a run was asked to land: their runs are counted by it.
_NEWS = "lakehouse/news"
# A cursor of another version is ignored, which costs one look at everything.
_CURSOR_VERSION = 3


@dataclass(frozen=True)
class LandingCursor:
    """What the last look left.

    Attributes:
        listed_at: when all of landing was listed, in seconds since 1970; None if that is unknown,
            or without a queue.
        asked: the entries for which a run was requested. A file that cannot be read stays in
            landing, and would be asked for at every look.
    """

    listed_at: float | None = None
    asked: Asked = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> "LandingCursor":
        """Reads a cursor; an empty one from none, or from one of another version."""
        stored = json.loads(text) if text else {}
        if stored.get("cursor_version") != _CURSOR_VERSION:
            return cls()
        return cls(stored["listed_at"], stored["asked"])

    def write(self) -> str:
        """Returns the cursor as text."""
        parts = {"listed_at": self.listed_at, "asked": self.asked}
        return json.dumps({"cursor_version": _CURSOR_VERSION, **parts})

    def find_failed(self, instance: dg.DagsterInstance) -> frozenset[str]:
        """Finds the tags of the runs that failed and may be tried again."""
        marks = {mark for entries in self.asked.values() for mark in entries.values()}
        return frozenset(mark for mark in marks if may_retry(instance, {_NEWS: mark}))

    def keep(self, found: Mapping[str, Sequence[str]]) -> Asked:
        """Returns what was asked for, without what the listed tables no longer have.

        Entries that have landed or were taken away are forgotten, so that the cursor stays small.
        """
        unlisted = {name: known for name, known in self.asked.items() if name not in found}
        listed = {
            name: {entry: known[entry] for entry in entries if entry in known}
            for name, entries in found.items()
            if (known := self.asked.get(name))
        }
        return {name: known for name, known in {**unlisted, **listed}.items() if known}

    def is_due(self, seconds: float, now: float) -> bool:
        """Returns whether all of landing is to be listed; it is, too, when a clock went back."""
        return self.listed_at is None or not 0 <= now - self.listed_at < seconds


def look_at_landing(
    environment: Environment,
    instance: dg.DagsterInstance,
    cursor: str | None,
    warn: Callable[[str], None],
) -> dg.SensorResult | dg.SkipReason:
    """Looks at landing once.

    Args:
        environment: where landing is.
        instance: Dagster, which knows how requested runs ended.
        cursor: what the last look left.
        warn: called with a line about the queue when a run is requested; otherwise the reason for
            requesting none has it.
    """
    before, now, raw = LandingCursor.read(cursor), time.time(), environment.catalog.raw_tables
    failed = before.find_failed(instance)
    received = _receive(environment)
    # The messages come before the listing, which therefore shows whatever they tell of.
    listed = choose_tables(
        raw,
        received,
        is_due=before.is_due(environment.listing_seconds, now),
        retried=[name for name, known in before.asked.items() if failed & {*known.values()}],
    )
    found = {table.name: _list_news(environment, table) for table in listed}
    asked = before.keep(found)
    fresh = {
        name: new
        for name, entries in found.items()
        if (new := [one for one in entries if asked.get(name, {}).get(one) in failed | {None}])
    }
    notes = _settle_messages(environment, received, fresh)
    is_whole = received is not None and len(listed) == len(raw)
    after = LandingCursor(now if is_whole else before.listed_at, asked)
    if not fresh:
        nothing = "nothing new in landing" if listed else "no message about landing"
        reason = "; ".join([nothing, *notes])
        return (
            dg.SkipReason(reason)
            if after == before
            else dg.SensorResult(skip_reason=reason, cursor=after.write())
        )
    for note in notes:
        warn(note)
    return _request(environment, after, fresh)


def _receive(environment: Environment) -> Received | None:
    if environment.queue is None:
        return None
    raw_tables = environment.catalog.raw_tables
    return receive_messages(environment.queue, environment.landing.root, raw_tables)


def _settle_messages(
    environment: Environment, received: Received | None, requested: Collection[str]
) -> list[str]:
    """Deletes the messages that have served; returns what a person should know of the queue."""
    if environment.queue is None or received is None:
        return []
    notes = list(received.notes)
    try:
        environment.queue.delete(received.select_done(requested))
    except OutageError as error:
        notes.append(str(error))  # they come back, and cost one more look
    return [escape_lines(note) for note in notes]


def _list_news(environment: Environment, raw: RawTable) -> list[str]:
    """Lists a table's folder; returns a short hash of each entry that has not landed."""
    news = read_news(environment.lake, environment.landing, raw)
    entries = (*news.ready, *news.unreadable, *news.settled.items())
    return [hashlib.sha256(f"{raw.name} {entry}".encode()).hexdigest()[:16] for entry in entries]


def _request(
    environment: Environment, cursor: LandingCursor, fresh: Mapping[str, Sequence[str]]
) -> dg.SensorResult:
    """Requests one ingest run of the tables with entries that were not asked for."""
    # The same files give the same mark at each try, by which the tries are counted.
    joined = "".join(sorted(entry for entries in fresh.values() for entry in entries))
    mark = hashlib.sha256(joined.encode()).hexdigest()[:16]
    config = build_run_config(environment.catalog, sorted(fresh), environment.list_revisions())
    # The revisions in the config are from before the landing, so its commits are later.
    request = dg.RunRequest(run_config=config, tags={**LANDING, _NEWS: mark})
    asked = {
        name: cursor.asked.get(name, {}) | dict.fromkeys(fresh.get(name, ()), mark)
        for name in {**cursor.asked, **fresh}
    }
    return dg.SensorResult(run_requests=[request], cursor=replace(cursor, asked=asked).write())
