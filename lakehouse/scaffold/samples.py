"""Sample files, and the names that they would have in landing: those of their folders included."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from lakehouse.errors import SetupError
from lakehouse.ingest.files.listing import is_hidden

_WILD = frozenset("*?[")


@dataclass(frozen=True)
class SampleFile:
    """A sample file.

    Attributes:
        path: where it lies.
        name: its name below the landing folder of its table, such as `dt=2026-11-01/a.parquet`.
    """

    path: Path
    name: str

    @property
    def folder_columns(self) -> tuple[str, ...]:
        """The columns that its folders name, as in `dt=2026-11-01`."""
        parts = PurePath(self.name).parts[:-1]
        return tuple(part.partition("=")[0] for part in parts if "=" in part.strip("="))


def find_samples(*wanted: str) -> list[SampleFile]:
    """Returns the files that paths, folders and patterns name, each once.

    A folder means all files below it, but those that a landing ignores, such as `_SUCCESS` and
    `.crc`. Names begin below the folder, or below the fixed part of a pattern; a folder that is
    called `column=value` always belongs to the name.
    """
    found: dict[Path, SampleFile] = {}
    taken: set[str] = set()
    for one in wanted:
        for path, root in _list_files(one):
            if path.resolve() in found:
                continue
            name = _name(path, root)
            if name in taken:
                folder, _, last = name.rpartition("/")
                name = f"{folder}/{len(found)}-{last}".lstrip("/")
            taken.add(name)
            found[path.resolve()] = SampleFile(path, name)
    return list(found.values())


def need_samples(*wanted: str) -> list[SampleFile]:
    """Returns the same files.

    Raises:
        SetupError: there is none.
    """
    found = find_samples(*wanted)
    if not found:
        raise SetupError(
            f"There is no file {', '.join(wanted)}.\nNext: name a file that a delivery looks like."
        )
    return found


def _list_files(wanted: str) -> Iterator[tuple[Path, Path]]:
    """Yields files, each with the folder below which its name begins."""
    exact = Path(wanted)
    if exact.is_file():
        yield exact, exact.parent
    elif exact.is_dir():
        yield from ((path, exact) for path in _list_deliveries(exact))
    else:
        fixed = _find_fixed_part(wanted)
        for path in map(Path, sorted(glob.glob(wanted, recursive=True))):  # noqa: PTH207 - absolute patterns, too
            if path.is_dir():
                yield from ((inner, fixed) for inner in _list_deliveries(path))
            elif not is_hidden(path.name):
                yield path, fixed


def _list_deliveries(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not is_hidden(path.relative_to(folder).as_posix())]


def _find_fixed_part(pattern: str) -> Path:
    """Returns the folders of a pattern before the first that has a wildcard."""
    parts = PurePath(pattern).parts[:-1]
    fixed = next((n for n, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return Path(*parts[:fixed])


def _name(path: Path, root: Path) -> str:
    parts = path.resolve().parts
    first = len(root.resolve().parts)
    named = [n for n, part in enumerate(parts[:-1]) if "=" in part.strip("=")]
    return "/".join(parts[min([first, *named]) :])
