"""The lake and the landing zone that the settings name."""

from lakehouse.ingest.files.landing_zone import Landing
from lakehouse.storage.lake import Lake
from resources.credentials import read_options
from resources.settings import Settings


def places(settings: Settings) -> tuple[Lake, Landing]:
    """Where the tables are, and where files are delivered.

    Raises:
        SetupError: the secret that holds their options cannot be read.
        OutageError: Secrets Manager does not answer.
    """
    clear = {name: value.get_secret_value() for name, value in read_options(settings).items()}
    lake = Lake(settings.lake_uri, clear, settings.single_writer)
    return lake, Landing(settings.landing_uri, clear, settings.rest_seconds)
