"""Notes on the open dead letters of raw tables: how many, and which files were refused."""

from collections.abc import Sequence

from lakehouse.observe.landing_report import LandingReport
from lakehouse.quarantine.dead_letters import DeadLetters, count_open_letters
from lakehouse.storage.lake import Lake
from lakehouse.wording import format_count, name_first


def describe_dead_letters(lake: Lake, landing: LandingReport) -> dict[str, str]:
    """Returns a few words on the open dead letters of each raw table that has some.

    Args:
        lake: where they are.
        landing: what is in landing; an entry that it cannot read is not named here again.
    """
    return {
        table: _describe(letters, _list_refused(lake, table, landing))
        for table, letters in count_open_letters(lake).items()
    }


def _list_refused(lake: Lake, table: str, landing: LandingReport) -> list[str]:
    names = {name for name, _ in DeadLetters(lake, table).list_refused()}
    return sorted(names.difference(landing.unreadable(table)))


def _describe(letters: int, refused: Sequence[str]) -> str:
    words = format_count(letters, "dead letter")
    if not refused:
        return words
    if letters == 1:
        which = "it is a refused file"
    elif len(refused) == 1:
        which = "1 of them is a refused file"
    else:
        which = f"{len(refused):,} of them are refused files"
    return f"{words}; {which}: {name_first(refused)}"
