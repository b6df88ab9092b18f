"""What `make` prepares in a checkout: the file `.env`, and the folders that it names.

Dagster's commands read `.env` in the folder where they are called, and so does `lakehouse`. Only lines that are
missing, or asked for anew, are written; every other line is a person's, and stays.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, set_key

from lakehouse.errors import SetupError
from lakehouse.process_settings import EVENT_BATCH_SIZE
from resources.settings import DATA, ROOT, Settings, dagster_home, load


def lines(
    told: Mapping[str, str | None], asked: Mapping[str, str], known: Settings
) -> dict[str, str]:
    """The lines that `.env` still needs.

    Args:
        told: what it says now.
        asked: the environment of this call: places that it names are to be kept.
        known: the settings that follow from both.
    """
    places = {"LAKEHOUSE_DATA": str(known.data), "LAKEHOUSE_LANDING": known.landing_uri}
    wanted = {name: place for name, place in places.items() if name in asked}
    home, before = told.get("DAGSTER_HOME"), Path(told.get("LAKEHOUSE_DATA") or DATA) / "dagster"
    if not home or ("LAKEHOUSE_DATA" in asked and Path(home) == before):
        wanted["DAGSTER_HOME"] = str(known.data / "dagster")
    if not told.get(EVENT_BATCH_SIZE):
        wanted[EVENT_BATCH_SIZE] = "1000"
    return {name: value for name, value in wanted.items() if told.get(name) != value}


def prepare(root: Path) -> str | None:
    """Write what is missing in `.env`, make the folders; gives a line about the lake if it is not the usual one.

    Raises:
        SetupError: a setting is wrong.
    """
    known, file = load(), (root / ".env").resolve()
    for name, value in lines(dotenv_values(file), os.environ, known).items():
        set_key(file, name, value)
    home = dagster_home(known)
    home.mkdir(parents=True, exist_ok=True)
    if home == known.data / "dagster" or not (home / "dagster.yaml").exists():
        shutil.copyfile(root / "dagster.yaml", home / "dagster.yaml")
    if known.landing is None:
        (known.data / "landing").mkdir(parents=True, exist_ok=True)
    return elsewhere(known, home)


def elsewhere(known: Settings, home: Path) -> str | None:
    """Where lake, landing and Dagster's storage are, in a line; None if everything is in the usual place."""
    usual = {
        "lake": str(DATA / "lake"),
        "landing": str(DATA / "landing"),
        "Dagster's storage": str(DATA / "dagster"),
    }
    found = {"lake": known.lake_uri, "landing": known.landing_uri, "Dagster's storage": str(home)}
    others = [f"{name} {place}" for name, place in found.items() if place != usual[name]]
    if not others:
        return None
    back = "`make demo LAKEHOUSE_DATA=data LANDING=data/landing` goes back"
    return f"As .env says, this is not the usual place: {', '.join(others)} ({back})."


if __name__ == "__main__":
    try:
        if line := prepare(ROOT):
            sys.stdout.write(f"{line}\n")
    except SetupError as error:
        sys.exit(str(error))
