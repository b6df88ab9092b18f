"""The settings of this lakehouse: where data lies, and how to reach it. Every one has a name that starts `LAKEHOUSE_`."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lakehouse.errors import SetupError, listed

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What differs between a laptop and production; a laptop needs none of it.

    Attributes:
        data: the folder for everything, `data/` beside the code by default.
        lake: where the tables are; `<data>/lake` by default, or a URI such as `s3://bucket/lake`.
        landing: where files are delivered; `<data>/landing` by default, or a URI.
        storage_options: object store options for both, as delta-rs takes them, in JSON.
        rest_seconds: how long a delivered file has to lie unchanged before it counts as complete.
    """

    model_config = SettingsConfigDict(env_prefix="LAKEHOUSE_", extra="forbid", frozen=True)

    data: Path = ROOT / "data"
    lake: str | None = None
    landing: str | None = None
    storage_options: dict[str, SecretStr] = Field(default_factory=dict)
    rest_seconds: float = Field(default=1.0, ge=0)

    @field_validator("data")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return (ROOT / folder.expanduser()).resolve()

    @field_validator("lake", "landing")
    @classmethod
    def _place(cls, place: str | None) -> str | None:
        if place is None or "://" in place:
            return place
        if not place.strip():
            raise ValueError("is empty; leave it out, or name a folder or a URI")
        return str((ROOT / Path(place).expanduser()).resolve())

    @property
    def lake_uri(self) -> str:
        """Where the tables are."""
        return self.lake or str(self.data / "lake")

    @property
    def landing_uri(self) -> str:
        """Where files are delivered."""
        return self.landing or str(self.data / "landing")

    @property
    def options(self) -> dict[str, str]:
        """The object store options in the clear; never to be logged."""
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}


def load() -> Settings:
    """The settings of this process, from its environment.

    Raises:
        SetupError: naming every setting that is unknown or wrong.
    """
    import os  # noqa: PLC0415

    known = {f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields} | {"LAKEHOUSE_KILL_AT"}
    problems = [f"{name} is no setting" for name in os.environ if name.startswith("LAKEHOUSE_") and name not in known]
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [f"LAKEHOUSE_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
    if problems:
        raise SetupError(
            listed("The settings are wrong.", problems, f"set or unset them; known are {', '.join(sorted(known))}.")
        )
    return settings
