"""The commands `lakehouse new` and `lakehouse init`, which write first files."""

from collections.abc import Iterator
from pathlib import Path

import click

from lakehouse.cli.app import cli
from lakehouse.cli.output import print_text
from lakehouse.ingest.files.recognize.declaration_text import write_files
from lakehouse.scaffold.project import write_project
from lakehouse.scaffold.write_table import NewTable, write_new_table
from lakehouse.wording import format_count


@cli.command("new", short_help="Write a new table from a sample file.")
@click.argument("table")
@click.option(
    "--from",
    "samples",
    required=True,
    multiple=True,
    help="A file that a delivery looks like, a folder of them, or a pattern; may be repeated.",
)
def new_table(table: str, samples: tuple[str, ...]) -> None:
    """Write the first files of TABLE (`<domain>/<table>`) from a sample file.

    Writes the declaration of its files, a contract, the transform, a mart of counts by day where
    there are days, and a test; and tries them with the sample in a lake of their own. Files that
    exist are never overwritten.
    """
    made = write_new_table(Path.cwd(), table, samples)
    for path in made.written:
        print_text(f"wrote {_shorten(path)}")
    print_text(f"\n{made.profile.name} looks like files={write_files(made.profile.files)}")
    for note in made.profile.notes:
        print_text(f"note: {note}")
    for doubt in made.profile.doubts:
        print_text(f"look at this: {doubt}")
    for line in _describe_outcome(made):
        print_text(line)
    if made.outcome is not None and not made.outcome.written:
        print_text(
            "\nNothing was written to the table. Next: correct the declaration, and run its test."
        )
        raise click.exceptions.Exit(1)
    print_text("\nNext:")
    for number, step in enumerate(_list_steps(made), 1):
        print_text(f"  {number}. {step}")


def _shorten(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _describe_outcome(made: NewTable) -> Iterator[str]:
    if made.outcome is None:
        yield "The sample is too large to be tried at once."
        return
    done = made.outcome
    if done.refused or done.files > 1:
        refused = f", {done.refused:,} refused" if done.refused else ""
        yield f"Tried: {format_count(done.files, 'file')}{refused}"
    yield f"Tried: {done.records:,} records = {done.written:,} written + {done.rejected:,} rejected"
    for reason, count in sorted(done.reasons.items(), key=lambda pair: -pair[1])[:10]:
        yield f"  {count:,} {reason}"


def _list_steps(made: NewTable) -> Iterator[str]:
    yield "Search for `fill in`: descriptions, zones of local times, ranges, the key."
    if personal := [one.name for one in made.profile.columns if one.personal]:
        yield f"Check what is marked pii=True; it seems to be personal: {', '.join(personal)}"
    yield f"Deliver files: mkdir -p data/landing/{made.table} && cp … data/landing/{made.table}/"
    yield "Land them and build the tables: lakehouse demo"
    yield f"See what became of each row: lakehouse audit staged/{made.table}"


@cli.command("init", short_help="Write the first files of a project of your own.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init_project(folder: Path) -> None:
    """Write the first files of a project into FOLDER, by default this one.

    Files that exist are never overwritten.
    """
    written, existing = write_project(folder)
    for path in written:
        print_text(f"wrote {path}")
    for path in existing:
        print_text(f"kept {path}")
    where = "" if folder == Path() else f"cd {folder} && "
    print_text(f"\nNext: {where}lakehouse new <domain>/<table> --from <file>")
