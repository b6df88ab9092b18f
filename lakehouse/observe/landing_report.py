"""What lies in landing and is in no table, as a person is told of it: files that wait, and things that nobody takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, SetupError
from lakehouse.ingest.land import News, read_news
from lakehouse.wording import escape_control_characters, format_count

_NAMED = 10


@dataclass(frozen=True)
class LandingReport:
    """What lies in landing and is not landed.

    Attributes:
        news: it, by raw table; without those whose folder cannot be listed.
        notes: what is wrong with landing as a whole, each with the next step.
    """

    news: Mapping[str, News] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def words(self, table: str) -> list[str]:
        """What a raw table still has to expect, in a few words each."""
        found = self.news.get(table)
        if found is None:
            return []
        waiting, unreadable = len(found.ready) + len(found.unfinished), len(found.unreadable)
        words = (
            [f"{format_count(waiting, 'file')} {'waits' if waiting == 1 else 'wait'} in landing"]
            if waiting
            else []
        )
        return [
            *words,
            *([f"{format_count(unreadable, 'file')} cannot be read"] if unreadable else []),
        ]


def report_landing(here: Environment) -> LandingReport:
    """What lies in landing and is not landed; a landing zone that cannot be listed is a note, not an error."""
    found: dict[str, News] = {}
    notes: list[str] = []
    for raw in here.catalog.raw_tables:
        try:
            found[raw.name] = read_news(here.lake, here.landing, raw)
        except (SetupError, BusyError) as error:
            notes.append(str(error))
    if not notes and (note := describe_unclaimed(here)):
        notes.append(note)
    return LandingReport(found, tuple(dict.fromkeys(notes)))


def describe_unclaimed(here: Environment) -> str | None:
    """What lies in landing and belongs to no raw table, with the next step; None if there is no such thing.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: it cannot be listed right now.
    """
    folders = [raw.landing for raw in here.catalog.raw_tables]
    strays = here.landing.list_unclaimed(folders)
    if not strays:
        return None
    more = [f"and {len(strays) - _NAMED:,} more"] if len(strays) > _NAMED else []
    return (
        f"In {here.landing.root} these belong to no raw table and are ignored: "
        f"{', '.join([*(str(escape_control_characters(stray)) for stray in strays[:_NAMED]), *more])}.\n"
        f"Next: put files into the folder of their table ({', '.join(folders)}), or declare a raw table of that name."
    )
