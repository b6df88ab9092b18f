"""The `lakehouse` command, put together from the project's tables, its samples, and its place."""

from lakehouse.project import process_settings

process_settings.configure_polars()

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import click

from lakehouse.cli import commands, demo_progress, demo_report
from lakehouse.environment import Environment
from lakehouse.errors import LakehouseError, SetupError
from lakehouse.project import settings
from lakehouse.project.composition import DOMAINS, is_in_project, load_environment, load_optional
from lakehouse.project.data_locks import hold_for_demo


def run_demo() -> None:
    """Runs `lakehouse demo`."""
    known, here = settings.load_settings(), load_environment()
    is_usual = known.landing_uri == str(known.data / "landing")
    with hold_for_demo(known.data):
        refused = _prepare_landing(here, is_usual=is_usual)
        demo_report.refuse_idle(here, refused)
        before = demo_report.read_versions(here)
        problems = _bring_up_to_date(here, settings.find_dagster_home(known), refused)
        question = _find_first_question(here)
        ui_command = "make ui" if is_in_project("resources.ui") else "lakehouse-ui"
        demo_report.print_report(here, before, problems, refused, question, ui_command)


def _bring_up_to_date(
    here: Environment, dagster_home: Path, skipped_domains: Collection[str]
) -> list[str]:
    """Lands what waits and makes what is stale, through Dagster; returns why runs failed."""
    with demo_progress.show_progress() as progress:
        progress.begin_step("loading Dagster")
        from lakehouse.definitions import definitions  # noqa: PLC0415, it takes seconds to import
        from lakehouse.orchestration.catch_up import catch_up  # noqa: PLC0415

        return catch_up(
            replace(here, progress=progress.land, tell=click.echo),
            definitions,
            dagster_home,
            lambda run: progress.announce(run.tables, run.shown_days),
            skipped_domains=skipped_domains,
        )


def _prepare_landing(here: Environment, *, is_usual: bool) -> Mapping[str, LakehouseError]:
    """Makes the landing folder, and samples in it if there is nothing to land.

    Nothing is made where landing is not the usual folder: another one belongs to somebody.

    Returns:
        The domains that the demo leaves alone, each with the refusal to show.
    """
    if is_usual:
        Path(here.landing.root).mkdir(parents=True, exist_ok=True)
    guard = load_optional("resources.sample_files")
    if guard is None:
        return {}
    samples = _load_samples(here) if is_usual else None
    make_samples = (
        partial(samples.generate_latest, here.landing.root, samples.find_today())
        if samples
        else None
    )
    refused: Mapping[str, LakehouseError] = guard.prepare(here, make_samples)
    return refused


def _find_first_question(here: Environment) -> str | None:
    """The query whose answer ends the demo: `FIRST_QUESTION` of the first domain that has one."""
    domains = sorted({table.domain for table in here.catalog.tables.values()})
    packages = (load_optional(f"{DOMAINS}.{domain}") for domain in domains)
    questions = (getattr(package, "FIRST_QUESTION", None) for package in packages)
    return next(filter(None, questions), None)


def add_samples(days: int) -> list[str]:
    """Runs `lakehouse samples`: delivers the sample files of the next days to landing.

    Returns:
        Where they are; none if the files of all days before today are delivered.

    Raises:
        SetupError: the project has no tables for samples, or landing holds somebody's own files.
    """
    here = load_environment()
    samples = _load_samples(here)
    if samples is None:
        raise SetupError(
            "There are no samples for the tables of this project.\n"
            "Next: put files of your own into landing."
        )
    written: list[str]
    if guard := load_optional("resources.sample_files"):
        written = guard.deliver_next(here, samples, days)
    else:
        written = samples.add_days(here.landing.root, days, today=samples.find_today())
    return written


def _load_samples(here: Environment) -> ModuleType | None:
    """The samples of the project, if the domain that they are made for is declared."""
    samples = load_optional("samples")
    domains = {raw.domain for raw in here.catalog.raw_tables}
    return samples if samples and samples.DOMAIN in domains else None


def main() -> None:
    """Runs the `lakehouse` command."""
    samples = add_samples if is_in_project("samples") else None
    commands.run_command_line(commands.App(load_environment, run_demo, samples))
