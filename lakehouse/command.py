"""The `lakehouse` command, put together from the domains, their samples and the place where it runs."""

from lakehouse import process_settings

process_settings.configure_polars()

from dataclasses import replace

from assets import retail
from lakehouse.cli import commands, demo_report
from lakehouse.composition import load_environment
from resources import occupied, sample_files, settings
from samples import retail as retail_samples


def run_demo() -> None:
    """Runs `lakehouse demo`."""
    from lakehouse.definitions import definitions  # noqa: PLC0415, Dagster takes a second to import
    from lakehouse.orchestration.catch_up import catch_up  # noqa: PLC0415

    known, here = settings.load_settings(), load_environment()
    is_usual = known.landing_uri == str(known.data / "landing")
    make_samples = (lambda: retail_samples.generate(here.landing.root)) if is_usual else None
    with occupied.hold_for_demo(known.data):
        refused = sample_files.prepare(here, make_samples=make_samples)
        demo_report.refuse_idle(here, refused)
        before = demo_report.read_versions(here)
        with demo_report.show_landing_progress() as progress:
            problems = catch_up(
                replace(here, progress=progress),
                definitions,
                settings.find_dagster_home(known),
                lambda run: demo_report.announce_run(run.tables, run.days),
                skipped_domains=refused,
            )
        demo_report.print_report(here, before, problems, refused, retail.FIRST_QUESTION)


def add_samples(days: int) -> list[str]:
    """Runs `lakehouse samples`: writes the sample files of the next days into landing, and returns their paths.

    Raises:
        SetupError: landing is no folder of this machine, or holds somebody's own files.
    """
    here = load_environment()
    sample_files.refuse_samples(here, retail.__name__.rpartition(".")[2])
    return retail_samples.add_days(here.landing.root, days)


def main() -> None:
    """Runs the `lakehouse` command."""
    commands.run_command_line(commands.App(load_environment, run_demo, add_samples))
