"""Sample files and a person's own files, which never share a domain.

Belongs here: telling the two kinds apart, and what to do where both are. The engine knows no
samples; the composition root hands these functions to it. Does not belong here: making samples
(`samples/`).
"""

from collections.abc import Callable, Collection
from typing import Any

import click

from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, SetupError
from lakehouse.observe.domain_files import DomainFiles, list_domain_files, list_landed_files
from lakehouse.storage.lake import Lake
from lakehouse.storage.object_store import is_remote
from lakehouse.tables.catalog import Catalog

SAMPLE_PREFIX = "sample-"
"""Begins the name of every sample file; so a lake knows which kind it holds."""

_NAMES_SHOWN = 5


def is_sample(name: str) -> bool:
    """Whether a file is a sample, by its name."""
    return name.rsplit("/", 1)[-1].startswith(SAMPLE_PREFIX)


def find_sample_domains(lake: Lake, catalog: Catalog) -> dict[str, str]:
    """Returns the domains with sample files only, each with the word shown as its freshness."""
    return {
        domain: "samples"
        for domain, names in list_landed_files(lake, catalog).items()
        if names and all(map(is_sample, names))
    }


def prepare(here: Environment, make_samples: Callable[[], Any] | None) -> dict[str, LakehouseError]:
    """Makes samples where there are no files at all; refuses domains with both kinds of file.

    Args:
        here: where the files are.
        make_samples: writes sample files into landing; None where none are to be made.

    Returns:
        The domains to leave alone, each with the refusal to show.
    """
    files = list_domain_files(here)
    if make_samples is not None and not any(found.all for found in files.values()):
        click.echo(f"Making 60 days of sample files in {here.landing.root} …")
        make_samples()
        files = list_domain_files(here)
    return {
        domain: refusal(here, domain, found) for domain, found in files.items() if is_mixed(found)
    }


def is_mixed(files: DomainFiles) -> bool:
    """Whether a domain holds both kinds of file."""
    return bool(_samples(files) and _own(files))


def refuse_samples(here: Environment, domain: str) -> None:
    """Raises unless samples may be written into a domain.

    Raises:
        SetupError: landing is no folder of this machine, or the domain holds files that are no
            samples.
    """
    if is_remote(here.landing.root):
        raise SetupError(
            f"Samples can only be written into a folder, but landing is {here.landing.root}.\n"
            "Next: unset LAKEHOUSE_LANDING, or set it to a folder."
        )
    files = list_domain_files(here)[domain]
    if is_mixed(files):
        raise refusal(here, domain, files)
    if own := _own(files):
        raise SetupError(
            f"A domain holds samples or your own files, never both. The domain {domain} holds "
            f"your own files: {_some(own, files.landed)}.\n"
            "Next: make a lake of samples elsewhere: `make demo LAKEHOUSE_DATA=<new folder>`."
        )


def refusal(here: Environment, domain: str, files: DomainFiles) -> SetupError:
    """Returns the error for a domain with both kinds: which files they are, and what to do."""
    return SetupError(
        f"A domain holds samples or your own files, never both. The domain {domain} holds both. "
        f"A file is a sample if its name begins with `{SAMPLE_PREFIX}`.\n"
        f"  - your own: {_some(_own(files), files.landed)}\n"
        f"  - samples: {_some(_samples(files), files.landed)}\n"
        f"Next: {_next_step(here, files)}"
    )


def _samples(files: DomainFiles) -> list[str]:
    return sorted(name for name in files.all if is_sample(name))


def _own(files: DomainFiles) -> list[str]:
    return sorted(name for name in files.all if not is_sample(name))


def _some(names: Collection[str], landed: Collection[str]) -> str:
    """The first few names; those whose rows are in the lake are marked."""
    first = list(names)[:_NAMES_SHOWN]
    shown = [f"{name} (landed)" if name in landed else name for name in first]
    if len(names) > _NAMES_SHOWN:
        shown.append(f"and {len(names) - _NAMES_SHOWN:,} more")
    return ", ".join(shown)


def _next_step(here: Environment, files: DomainFiles) -> str:
    apart = "`make demo LANDING=<folder of your files> LAKEHOUSE_DATA=<new folder>`"
    kinds = {is_sample(name) for name in files.landed}
    if kinds == {False}:
        elsewhere = "`make demo LAKEHOUSE_DATA=<new folder>`"
        return f"take the samples out of {here.landing.root}. For a lake of samples: {elsewhere}."
    if kinds == {True, False}:
        return (
            f"leave the lake {here.lake.root} as it is, and start new ones. "
            f"For your files: {apart}. For samples: take your files out of data/landing, then run "
            "`make clean-data`, which deletes data/ and everything in it."
        )
    return (
        f"take your files out of {here.landing.root} into a folder of their own, and run {apart}."
    )
