"""Commands for a first look: `demo` and `samples`."""

import click

from lakehouse.cli.app import App, cli
from lakehouse.cli.output import print_text


@cli.command(short_help="Bring everything up to date.")
@click.pass_obj
def demo(app: App) -> None:
    """Bring everything up to date through Dagster, and show what happened to every row.

    Writes sample files first if landing is empty.
    """
    app.demo()


@cli.command(short_help="Deliver one more day of samples.")
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many days of files.",
)
@click.pass_obj
def samples(app: App, days: int) -> None:
    """Deliver the sample files of one more day to landing, a folder or a bucket.

    Of today and of the days after it there is no file yet.
    """
    assert app.samples is not None  # noqa: S101, without samples there is no such command
    paths = app.samples(days)
    if not paths:
        print_text(
            "The sample files of all days before today are delivered; today's comes tomorrow.\n"
            "Next: `make clean-data && make demo` makes new samples, and leaves the last day to "
            "this command."
        )
        return
    for path in paths:
        print_text(path)
    print_text(
        "Next: run `lakehouse demo` to land them, or wait: Dagster lands them while its UI runs."
    )
