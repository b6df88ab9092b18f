"""Reports what is in landing and in no table: files that wait, and entries no table claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.environment import Environment
from lakehouse.errors import BusyError, SetupError
from lakehouse.ingest.land import News, read_news
from lakehouse.wording import format_count, name_first


@dataclass(frozen=True)
class LandingReport:
    """The state of a landing zone: what is in it and has not landed.

    Attributes:
        news: the files that are not landed, by raw table; without tables whose folder cannot be
            listed.
        notes: what is wrong with landing as a whole, each with the next step.
    """

    news: Mapping[str, News] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def describe(self, table: str) -> list[str]:
        """Returns what waits for a raw table, in a few words each; nothing for other tables."""
        found = self.news.get(table)
        if found is None:
            return []
        words = []
        if waiting := len(found.ready) + len(found.unfinished):
            verb = "waits" if waiting == 1 else "wait"
            words.append(f"{format_count(waiting, 'file')} {verb} in landing")
        if found.unreadable:
            # Links and pipes, above all. A file that was read and refused is in the lake by now:
            # the notes on dead letters name it.
            names = self.unreadable(table)
            entries = "1 entry" if len(names) == 1 else f"{len(names):,} entries"
            words.append(f"{entries} in landing cannot be read: {name_first(names)}")
        if found.ignored:
            verb = "is" if len(found.ignored) == 1 else "are"
            words.append(
                f"{format_count(len(found.ignored), 'file')} {verb} ignored by name: "
                f"{name_first(found.ignored)}"
            )
        return words

    def unreadable(self, table: str) -> list[str]:
        """Returns the names of what lies in the folder of a raw table and cannot be read."""
        found = self.news.get(table)
        return [] if found is None else sorted(entry.name for entry in found.unreadable)


def report_landing(here: Environment) -> LandingReport:
    """Reports what is in landing and has not landed.

    A landing zone that cannot be listed is a note, not an error: other tables are still reported.
    """
    found: dict[str, News] = {}
    notes: list[str] = []
    for raw in here.catalog.raw_tables:
        try:
            found[raw.name] = read_news(here.lake, here.landing, raw)
        except (SetupError, BusyError) as error:
            notes.append(str(error))
    # After a failure the zone is not looked at again: that would raise here, for the same reason.
    if not notes and (note := describe_unclaimed(here)):
        notes.append(note)
    # A zone that does not exist fails for each raw table, with the same message.
    return LandingReport(found, tuple(dict.fromkeys(notes)))


def describe_unclaimed(here: Environment) -> str | None:
    """Returns a note on entries of landing that belong to no raw table; None if there are none.

    Raises:
        SetupError: the landing zone does not exist.
        BusyError: it cannot be listed right now.
    """
    # A folder with a misspelt name looks like success: its files never land, and nothing fails.
    folders = [raw.landing for raw in here.catalog.raw_tables]
    unclaimed = here.landing.list_unclaimed(folders)
    if not unclaimed:
        return None
    return (
        f"In {here.landing.root} these belong to no raw table and are ignored: "
        f"{name_first(unclaimed)}.\n"
        f"Next: put files into the folder of their table ({', '.join(folders)}), "
        "or declare a raw table of that name."
    )
