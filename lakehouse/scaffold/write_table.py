"""Writes a new table from a sample: profile, source, a trial of it, and the test.

Nothing that exists is overwritten. What cannot be tried is taken away again, so that no half of a
table stands in the way of all others.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import SetupError
from lakehouse.observe.profile.profile_file import profile_file
from lakehouse.observe.profile.profiles import FileProfile
from lakehouse.scaffold.python_names import make_name
from lakehouse.scaffold.samples import SampleFile, need_samples
from lakehouse.scaffold.samples_test_source import write_test
from lakehouse.scaffold.table_source import TableSource
from lakehouse.scaffold.trial import TrialOutcome, try_samples

_MOST_TRIED = 64 << 20
"""A larger sample is not tried at once: 64 MiB, some ten seconds."""


@dataclass(frozen=True)
class NewTable:
    """A table that was written.

    Attributes:
        domain: its domain.
        table: its name.
        written: the files that were written.
        profile: what its sample holds.
        outcome: what became of the sample in a trial; None if it was too large.
    """

    domain: str
    table: str
    written: tuple[Path, ...]
    profile: FileProfile
    outcome: TrialOutcome | None


def write_new_table(project: Path, wanted: str, samples: Sequence[str]) -> NewTable:
    """Writes the files of a new table into a project.

    Args:
        project: its folder, which holds or gets `assets/` and `checks/`.
        wanted: `<domain>/<table>`, or `<table>` for a domain of its own.
        samples: paths of sample files or folders, or patterns for them; the first file is profiled.

    Raises:
        SetupError: a name is none, a file exists, or the sample cannot be read.
    """
    domain, table = _split_name(wanted)
    found = need_samples(*samples)
    profile = profile_file(found[0].path, name=found[0].name)
    _refuse_unreadable(profile)
    is_first = not (project / "checks" / f"{domain}.py").exists()
    checks = domain if is_first else f"{domain}_{table}"
    source = TableSource(domain, table, checks, profile)
    files = {
        project / "checks" / f"{checks}.py": source.write_contract(),
        project / "assets" / domain / f"{table}.py": source.write_tables(),
    }
    test = project / "tests" / f"test_{domain}_{table}.py"
    _refuse_existing([*files, test])
    packages = {
        project / "checks" / "__init__.py": '"""What tables promise."""\n',
        project
        / "assets"
        / "__init__.py": '"""The declared tables, a folder for each domain."""\n',
        project / "assets" / domain / "__init__.py": f'"""The tables of {domain}."""\n',
    }
    files = {**{path: text for path, text in packages.items() if not path.exists()}, **files}
    _write_all(files)
    outcome = _try(source, project, found, list(files))
    wanted_paths = [_write_path(Path(one), project) for one in samples]
    _write_all({test: write_test(source, wanted_paths, outcome)})
    _format([*files, test])
    return NewTable(domain, table, (*files, test), profile, outcome)


def _split_name(wanted: str) -> tuple[str, str]:
    domain, _, table = wanted.rpartition("/")
    domain = domain or table
    wrong = [part for part in (domain, table) if part != make_name(part)]
    if wrong:
        raise SetupError(
            f"{wanted!r} cannot be the name of a table.\n"
            f"Next: call it {make_name(domain)}/{make_name(table)}."
        )
    return domain, table


def _refuse_unreadable(profile: FileProfile) -> None:
    if profile.refused is not None:
        raise SetupError(
            f"{profile.name} cannot be read: {profile.refused}\n"
            "Next: declare what it looks like by hand, see docs/files.md."
        )
    if not profile.columns:
        raise SetupError(
            f"{profile.name} holds no row, so nothing is known about its columns.\n"
            "Next: name a file with some records."
        )


def _refuse_existing(paths: Sequence[Path]) -> None:
    if existing := [str(path) for path in paths if path.exists()]:
        raise SetupError(
            f"These files exist, and nothing was written: {', '.join(existing)}.\n"
            "Next: choose another name, or move them away."
        )


def _write_path(sample: Path, project: Path) -> str:
    """Returns the path of a sample as a test names it: within the project, or absolute."""
    full = Path(os.path.abspath(sample))  # noqa: PTH100 - a pattern may be no path to resolve
    base = Path(os.path.abspath(project))  # noqa: PTH100
    return str(full.relative_to(base)) if full.is_relative_to(base) else str(full)


def _write_all(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _try(
    source: TableSource, project: Path, samples: Sequence[SampleFile], written: Sequence[Path]
) -> TrialOutcome | None:
    """Runs the samples through the new table; takes its files away if that fails."""
    if sum(sample.path.stat().st_size for sample in samples) > _MOST_TRIED:
        return None
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    importlib.invalidate_caches()
    is_tried = False
    try:
        with tempfile.TemporaryDirectory(prefix="trial-") as folder:
            outcome = try_samples(source.table, {source.table: samples}, Path(folder))
        is_tried = True
    finally:
        if not is_tried:
            for path in written:
                path.unlink()
    return outcome


def _format(paths: Sequence[Path]) -> None:
    """Formats files as the project does, if ruff is installed; they are right without it."""
    python = [path for path in paths if path.suffix == ".py"]
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run(  # noqa: S603 - the formatter of this environment
            [sys.executable, "-m", "ruff", *command, *map(str, python)],
            check=False,
            capture_output=True,
        )
