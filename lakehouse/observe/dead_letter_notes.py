"""Notes on the open dead letters of raw tables: how many, and which files were refused."""

from collections.abc import Sequence

from lakehouse.observe.landing_report import LandingReport
from lakehouse.quarantine.dead_letters import count_open_letters, list_refused_files
from lakehouse.storage.lake import Lake
from lakehouse.wording import format_count, name_first


def describe_dead_letters(lake: Lake, landing: LandingReport) -> dict[str, str]:
    """Returns a few words on the open dead letters of each raw table that has some.

    Args:
        lake: where they are.
        landing: what is in landing; an entry that it cannot read is not named here again.
    """
    refused = list_refused_files(lake)
    return {
        table: _describe(
            letters, [one for one in refused.get(table, ()) if one not in landing.unreadable(table)]
        )
        for table, letters in count_open_letters(lake).items()
    }


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
