"""Folders that act as a project: the packages that the `lakehouse` command and Dagster find by name."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def link_project(folder: Path) -> None:
    """Puts the packages of this checkout into a folder, so that commands called there find its tables."""
    for package in ("assets", "checks", "resources", "samples"):
        (folder / package).symlink_to(ROOT / package)
