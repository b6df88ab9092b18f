"""Sample files and a person's own, which never mix: which is which, and what to do where both are.

Belongs here: telling them apart, domain by domain. Does not belong here: making samples (`samples/`).
"""

from collections.abc import Collection
from dataclasses import dataclass

from lakehouse.environment import Environment
from lakehouse.errors import SetupError
from lakehouse.ingest.landed_files import landed

SAMPLE = "sample-"
"""Begins the name of every sample file; so a lake knows which kind it holds."""

_NAMED = 5


@dataclass(frozen=True)
class Held:
    """The files of a domain, as `<raw table's folder>/<file>`.

    Attributes:
        waiting: those that lie in landing.
        landed: those whose rows are in the lake.
    """

    waiting: frozenset[str]
    landed: frozenset[str]

    @property
    def samples(self) -> list[str]:
        """The samples among them."""
        return sorted(name for name in self.waiting | self.landed if is_sample(name))

    @property
    def own(self) -> list[str]:
        """Those that are no samples."""
        return sorted(name for name in self.waiting | self.landed if not is_sample(name))


def is_sample(name: str) -> bool:
    """Whether a file is a sample, by its name."""
    return name.rsplit("/", 1)[-1].startswith(SAMPLE)


def of_samples(here: Environment) -> set[str]:
    """The domains of which the lake holds samples and nothing else."""
    known = _landed(here)
    return {domain for domain, names in known.items() if names and all(map(is_sample, names))}


def _landed(here: Environment) -> dict[str, set[str]]:
    """The files of each domain whose rows are in the lake."""
    known: dict[str, set[str]] = {raw.domain: set() for raw in here.catalog.raw()}
    for raw in here.catalog.raw():
        known[raw.domain] |= {
            f"{raw.landing}/{one.name}" for one in landed(here.lake, raw.name).by_digest.values()
        }
    return known


def held(here: Environment) -> dict[str, Held]:
    """The files of each domain, in landing and in the lake."""
    waiting: dict[str, set[str]] = {raw.domain: set() for raw in here.catalog.raw()}
    for raw in here.catalog.raw():
        entries = here.landing.entries(raw.landing)
        waiting[raw.domain] |= {
            f"{raw.landing}/{entry.name}" for entry in entries if entry.problem is None
        }
    known = _landed(here)
    return {
        domain: Held(frozenset(waiting[domain]), frozenset(known[domain])) for domain in waiting
    }


def mixed(files: dict[str, Held]) -> list[str]:
    """The domains in which both kinds are."""
    return [domain for domain, found in files.items() if found.samples and found.own]


def refuse_samples(here: Environment, domain: str) -> None:
    """Refuse to put samples where they have no place.

    Raises:
        SetupError: landing is no folder of this machine, or the domain holds files that are no samples.
    """
    if "://" in here.landing.root:
        raise SetupError(
            f"Samples are written into a folder, and landing is {here.landing.root}.\n"
            "Next: leave LAKEHOUSE_LANDING out, or name a folder."
        )
    files = held(here)[domain]
    if files.own:
        raise SetupError(
            f"Sample rows and your own never mix, and the domain {domain} holds files of yours: "
            f"{_some(files.own, files.landed)}.\n"
            "Next: make a lake of samples elsewhere, `make demo LAKEHOUSE_DATA=<new folder>`."
        )


def refusal(here: Environment, domain: str, files: Held) -> SetupError:
    """Why nothing is done in a domain that holds both kinds, which files they are, and how to go on."""
    return SetupError(
        f"Sample rows and your own never mix, and the domain {domain} holds both. "
        f"A file is a sample if its name begins with `{SAMPLE}`.\n"
        f"  - no samples: {_some(files.own, files.landed)}\n"
        f"  - samples: {_some(files.samples, files.landed)}\n"
        f"Next: {_next(here, files)}"
    )


def _some(names: Collection[str], known: Collection[str]) -> str:
    first = [f"{name} (landed)" if name in known else name for name in list(names)[:_NAMED]]
    return ", ".join(
        [*first, *([f"and {len(names) - _NAMED:,} more"] if len(names) > _NAMED else [])]
    )


def _next(here: Environment, files: Held) -> str:
    apart = "`make demo LANDING=<folder of your files> LAKEHOUSE_DATA=<new folder>`"
    kinds = {is_sample(name) for name in files.landed}
    if kinds == {False}:
        elsewhere = "`make demo LAKEHOUSE_DATA=<new folder>`"
        return f"take the samples out of {here.landing.root}. For a lake of samples: {elsewhere}."
    if kinds == {True, False}:
        return (
            f"the lake {here.lake.root} stays as it is; begin new ones. Yours: {apart}. Samples: `make clean-data`, "
            "which deletes data/ with all that is in it: take your files out of data/landing first."
        )
    return (
        f"take your files out of {here.landing.root} into a folder of their own, and run {apart}."
    )
