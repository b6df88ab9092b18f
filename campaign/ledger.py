"""The second opinion on attacked worlds: what each table must hold, in plain Python.

Belongs here: the fate of every delivered record in tables of every mode, by the deliveries alone.
No Polars, and nothing of the engine: it reads records as the sender wrote them. Does not belong
here: what happens to a world (`worlds.py`).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

Origin = tuple[str, int]
"""A record: the hash of its file's bytes, and its number in the file."""

Fields = tuple[str, str, str, str]
"""A record as delivered: article, day, price and what happened to it."""

DELETE = "d"


@dataclass(frozen=True)
class Delivered:
    """A file that landed.

    Attributes:
        name: its name.
        modified_at: when it was written, in milliseconds.
        content: its bytes.
        records: its records; None for one that cannot be parsed.
        is_refused: whether it is refused as a whole.
    """

    name: str
    modified_at: int
    content: bytes
    records: tuple[Fields | None, ...]
    is_refused: bool = False

    @property
    def digest(self) -> str:
        """The hash of its bytes."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Record:
    """A record that became a raw row, with the name and the time of its first delivery."""

    origin: Origin
    source: str
    modified_at: int
    fields: Fields

    @property
    def key(self) -> str | None:
        """The article; None where it is missing."""
        return self.fields[0] or None

    @property
    def day(self) -> date | None:
        """The day; None where it cannot be read."""
        try:
            return date.fromisoformat(self.fields[1])
        except ValueError:
            return None

    @property
    def price(self) -> int | None:
        """The price; None where there is none, or it cannot be read."""
        text = self.fields[2]
        return int(text) if text.removeprefix("-").isdigit() else None

    @property
    def is_delete(self) -> bool:
        """Whether it deletes its article."""
        return self.fields[3] == DELETE

    @property
    def delivery(self) -> tuple[int, str, int]:
        """What orders equal versions."""
        return self.modified_at, self.source, self.origin[1]


@dataclass
class Fates:
    """What became of the records in one table.

    Attributes:
        written: origins of the rows that a reader sees; an article twice in a history.
        values: the same rows, by their values.
        open: rejected, and nobody settled it.
        superseded: broken, but a newer good record took its place.
        doubtful: those of them that may also be open: new events are compared with the event that
            is shown, and the one that took the place of such a record may be an older one.
    """

    written: list[Origin] = field(default_factory=list)
    values: list[tuple[object, ...]] = field(default_factory=list)
    open: set[Origin] = field(default_factory=set)
    superseded: set[Origin] = field(default_factory=set)
    doubtful: set[Origin] = field(default_factory=set)


@dataclass(frozen=True)
class Calendar:
    """The days that tables by day have now."""

    first: date
    today: date

    def window(self, day: date | None) -> date:
        """The day with which a record is judged."""
        return day if day is not None and self.first <= day <= self.today else self.first


def read_records(delivered: Iterable[Delivered]) -> list[Record]:
    """Returns the records that became raw rows; equal bytes are one delivery, the first written."""
    files: dict[str, Delivered] = {}
    for one in sorted(delivered, key=lambda file: (file.modified_at, file.name)):
        files.setdefault(one.digest, one)
    return [
        Record((digest, number), f"{one.name}#{digest}", one.modified_at, fields)
        for digest, one in files.items()
        if not one.is_refused
        for number, fields in enumerate(one.records, start=1)
        if fields is not None
    ]


def list_dead(delivered: Iterable[Delivered]) -> set[tuple[str, int | None]]:
    """Returns the records that cannot be parsed, and the files that are refused as a whole."""
    return {
        (one.digest, None if one.is_refused else number)
        for one in delivered
        for number, fields in enumerate([None] if one.is_refused else one.records, start=1)
        if fields is None
    }


def _is_good(one: Record, *, deletes: bool = False) -> bool:
    has_key = one.key is not None and one.day is not None
    is_priced = one.price is not None and one.price >= 0
    return has_key and (is_priced or (deletes and one.is_delete))


def _is_newer(good: Record, bad: Record) -> bool:
    if bad.day is not None and good.day != bad.day:
        return good.day is not None and good.day > bad.day
    return good.delivery > bad.delivery


def _split(
    records: Iterable[Record], is_good: Callable[[Record], bool]
) -> tuple[list[Record], list[Record]]:
    good: list[Record] = []
    bad: list[Record] = []
    for one in records:
        (good if is_good(one) else bad).append(one)
    return good, bad


def _holds_file(later: Iterable[Record], earlier: Iterable[Record]) -> bool:
    """Whether the records of one file are all among those of another."""
    return not Counter(map(_show, earlier)) - Counter(map(_show, later))


def _is_corrected(bad: Record, good: Iterable[Record]) -> bool:
    """Whether a later file of its name holds each good record of its file."""
    files: dict[str, list[Record]] = {}
    for one in good:
        if one.source.rpartition("#")[0] == bad.source.rpartition("#")[0]:
            files.setdefault(one.source, []).append(one)
    own = files.get(bad.source, [])
    later = (some for some in files.values() if some[0].modified_at > bad.modified_at)
    return any(_holds_file(some, own) for some in later)


def _reject(
    fates: Fates,
    good: list[Record],
    bad: Iterable[Record],
    group: Callable[[Record], object],
    place: Callable[[Record], object] = lambda _: None,
    is_named: Callable[[Record], bool] = lambda one: one.key is not None,
) -> None:
    """Adds the fates of broken records.

    One is superseded by a newer good one of its group; one that names no group, by a corrected file
    in its place. Any other is open.
    """
    groups: dict[object, list[Record]] = {}
    for one in good:
        groups.setdefault(group(one), []).append(one)
    for one in bad:
        rivals = groups.get(group(one), []) if one.key is not None else []
        is_over = any(_is_newer(rival, one) for rival in rivals)
        if not is_named(one):
            is_over |= _is_corrected(one, [some for some in good if place(some) == place(one)])
        (fates.superseded if is_over else fates.open).add(one.origin)


def _show(one: Record) -> tuple[object, ...]:
    return one.key, one.day, one.price


def _write(fates: Fates, rows: Iterable[Record]) -> Fates:
    for one in rows:
        fates.written.append(one.origin)
        fates.values.append(_show(one))
    return fates


def judge_lines(records: list[Record], calendar: Calendar) -> Fates:
    """A table by days; a line that repeats another one of its day is superseded."""
    first: dict[tuple[Fields, date], Record] = {}
    for one in sorted(records, key=lambda record: (record.source, record.origin[1])):
        first.setdefault((one.fields, calendar.window(one.day)), one)
    good, bad = _split(
        first.values(), lambda one: _is_good(one) and calendar.window(one.day) == one.day
    )
    return _write(Fates(open={one.origin for one in bad}), good)


def judge_latest_of_day(records: list[Record], calendar: Calendar) -> Fates:
    """A table by days that keeps the latest version of an article for each day."""
    good, bad = _split(records, lambda one: _is_good(one) and calendar.window(one.day) == one.day)
    return _judge_latest(
        good,
        bad,
        lambda one: (one.key, calendar.window(one.day)),
        lambda one: calendar.window(one.day),
    )


def judge_latest(records: list[Record], calendar: Calendar) -> Fates:  # noqa: ARG001, one signature
    """A table that is made whole and keeps the latest version of an article."""
    return _judge_latest(*_split(records, _is_good), lambda one: one.key)


def _judge_latest(
    good: list[Record],
    bad: list[Record],
    group: Callable[[Record], object],
    place: Callable[[Record], object] = lambda _: None,
) -> Fates:
    fates = Fates()
    _reject(fates, good, bad, group, place)
    latest = {group(one): one for one in sorted(good, key=_order)}
    return _write(fates, latest.values())


def judge_upsert(records: list[Record], calendar: Calendar) -> Fates:  # noqa: ARG001
    """A table to which events are applied: the latest one of each article; some delete it."""
    good, bad = _split(records, lambda one: _is_good(one, deletes=True))
    fates = Fates()
    _reject(fates, good, bad, lambda one: one.key)
    fates.doubtful = fates.superseded & {one.origin for one in bad if one.day is None}
    latest = {one.key: one for one in sorted(good, key=_order)}
    return _write(fates, (one for one in latest.values() if not one.is_delete))


def judge_history(records: list[Record], calendar: Calendar) -> Fates:  # noqa: ARG001
    """A table of all versions of an article; an event that repeats the state before makes none."""
    good, bad = _split(records, lambda one: _is_good(one, deletes=True))
    fates = Fates()
    _reject(
        fates,
        good,
        bad,
        lambda one: (one.key, one.day),
        is_named=lambda one: one.key is not None and one.day is not None,
    )
    ordered = sorted(good, key=lambda one: (str(one.key), *_order(one)))
    for _, events in groupby(ordered, key=lambda one: one.key):
        _write(fates, _list_versions(events))
    return fates


def _list_versions(events: Iterable[Record]) -> Iterator[Record]:
    before: object = None
    for _, equals in groupby(events, key=lambda one: one.day):
        *_, last = equals
        state = DELETE if last.is_delete else last.price
        if state != before and not last.is_delete:
            yield last
        before = state


def _order(one: Record) -> tuple[object, ...]:
    return one.day, *one.delivery


JUDGES: Mapping[str, Callable[[list[Record], Calendar], Fates]] = {
    "staged/lines": judge_lines,
    "staged/latest_of_day": judge_latest_of_day,
    "staged/latest": judge_latest,
    "staged/applied": judge_upsert,
    "staged/versions": judge_history,
}
"""The second opinion on each table, by its name."""
