"""Sample files and a person's own files, which never share a domain.

Belongs here: telling the two kinds apart, and what to do where both are. The engine knows no
samples; the composition root hands these functions to it. Does not belong here: making samples
(`samples/`).
"""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import click
import obstore

from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, SetupError
from lakehouse.observe.domain_files import DomainFiles, list_domain_files
from lakehouse.storage.object_store import is_remote, open_store, translate_store_errors

SAMPLE_PREFIX = "sample-"
"""Begins the name of every sample file; so a lake knows which kind it holds."""

_NAMES_SHOWN = 5


def is_sample(name: str) -> bool:
    """Whether a file is a sample, by its name."""
    return name.rsplit("/", 1)[-1].startswith(SAMPLE_PREFIX)


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
        click.echo(f"Making sample files of the last 60 days in {here.landing.root}")
        make_samples()
        files = list_domain_files(here)
    return {
        domain: refusal(here, domain, found) for domain, found in files.items() if is_mixed(found)
    }


def deliver_next(here: Environment, samples: ModuleType, days: int) -> list[str]:
    """Delivers the sample files of the next days to landing.

    Args:
        here: where landing is, a folder or a bucket.
        samples: makes the files.
        days: how many days with a file.

    Returns:
        Where the files are; none if the files of all days before today are delivered.

    Raises:
        SetupError: the domain of the samples holds files that are no samples.
    """
    refuse_samples(here, samples.DOMAIN)
    # Also those that were taken out of landing once they had landed.
    known = list_domain_files(here)[samples.DOMAIN].all
    add = partial(samples.add_days, days=days, known=known, today=samples.find_today())
    root = here.landing.root
    if not is_remote(root):
        written: list[str] = add(root)
        return written
    with TemporaryDirectory() as folder, translate_store_errors(root, here.landing.options):
        names = [Path(path).relative_to(folder).as_posix() for path in add(folder)]
        store = open_store(root, here.landing.options)
        for name in names:
            obstore.put(store, name, (Path(folder) / name).read_bytes())
    return [f"{root.rstrip('/')}/{name}" for name in names]


def is_mixed(files: DomainFiles) -> bool:
    """Whether a domain holds both kinds of file."""
    return bool(_samples(files) and _own(files))


def refuse_samples(here: Environment, domain: str) -> None:
    """Raises unless samples may be written into a domain.

    Raises:
        SetupError: the domain holds files that are no samples.
    """
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
