"""The lake and the landing zone that the settings name."""

from lakehouse.lake import Lake
from lakehouse.sources.landing import Landing
from resources.settings import Settings


def lake(settings: Settings) -> Lake:
    """Where the tables are."""
    return Lake(settings.lake_uri, settings.options)


def landing(settings: Settings) -> Landing:
    """Where files are delivered."""
    return Landing(settings.landing_uri, settings.options, settings.rest_seconds)
