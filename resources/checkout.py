"""What `make` prepares in a checkout: the file `.env`, and the folders that it names.

Dagster's commands read `.env` in the folder where they are called, and so does `lakehouse`. Only
lines that are missing, or that this call sets, are written. Every other line belongs to a person
and stays.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, set_key

from lakehouse.errors import SetupError
from lakehouse.project.process_settings import EVENT_BATCH_SIZE
from lakehouse.project.settings import (
    Settings,
    find_dagster_home,
    find_default_data,
    load_settings,
)


def find_missing_lines(
    current: Mapping[str, str | None], asked: Mapping[str, str], known: Settings
) -> dict[str, str]:
    """Returns the lines that `.env` still needs.

    Args:
        current: what it contains now.
        asked: the environment of this call, whose places are kept.
        known: the settings that follow from both.
    """
    places = {
        "LAKEHOUSE_DATA": str(known.data),
        "LAKEHOUSE_LAKE": known.lake_uri,
        "LAKEHOUSE_LANDING": known.landing_uri,
    }
    wanted = {name: place for name, place in places.items() if name in asked}
    home = current.get("DAGSTER_HOME")
    data_before = Path(current.get("LAKEHOUSE_DATA") or find_default_data())
    # Dagster's storage follows the data to another folder, unless a person put it elsewhere.
    is_beside_data = home is not None and Path(home) == data_before / "dagster"
    if not home or ("LAKEHOUSE_DATA" in asked and is_beside_data):
        wanted["DAGSTER_HOME"] = str(known.data / "dagster")
    if not current.get(EVENT_BATCH_SIZE):
        wanted[EVENT_BATCH_SIZE] = "1000"
    return {name: value for name, value in wanted.items() if current.get(name) != value}


def prepare(root: Path) -> str | None:
    """Writes what is missing in `.env` and creates the folders.

    Returns:
        A line about the lake, if it is not in the usual place.

    Raises:
        SetupError: a setting is wrong.
    """
    known, file = load_settings(), (root / ".env").resolve()
    find_dagster_home(known)  # refuses a folder before `.env` names it
    for name, value in find_missing_lines(dotenv_values(file), os.environ, known).items():
        set_key(file, name, value)
    home = find_dagster_home(known)
    home.mkdir(parents=True, exist_ok=True)
    if home == known.data / "dagster" or not (home / "dagster.yaml").exists():
        shutil.copyfile(root / "dagster.yaml", home / "dagster.yaml")
    if known.landing is None:
        (known.data / "landing").mkdir(parents=True, exist_ok=True)
    return describe_unusual_places(known, home)


def describe_unusual_places(known: Settings, home: Path) -> str | None:
    """Returns a line about what is not in the usual place; None if everything is."""
    data = find_default_data()
    usual = {
        "lake": str(data / "lake"),
        "landing": str(data / "landing"),
        "Dagster's storage": str(data / "dagster"),
    }
    found = {"lake": known.lake_uri, "landing": known.landing_uri, "Dagster's storage": str(home)}
    others = [f"{name} {place}" for name, place in found.items() if place != usual[name]]
    if not others:
        return None
    return (
        f".env names other places than the usual ones: {', '.join(others)} "
        f"({_describe_way_back(known, home)})."
    )


def _describe_way_back(known: Settings, home: Path) -> str:
    """Returns what to call so that all places are the usual ones again."""
    # Each place that is set has to be set back: the others follow the data folder.
    lake = " LAKEHOUSE_LAKE=data/lake" if known.lake else ""
    first = "delete the line DAGSTER_HOME in .env, then " if home != known.data / "dagster" else ""
    return f"to go back: {first}`make demo LAKEHOUSE_DATA=data{lake} LANDING=data/landing`"


if __name__ == "__main__":
    try:
        if line := prepare(Path.cwd()):
            sys.stdout.write(f"{line}\n")
    except SetupError as error:
        sys.exit(str(error))
