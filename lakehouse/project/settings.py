"""The settings of a lakehouse, `LAKEHOUSE_…`: where data is, and how to reach it.

The project is the folder where a process was started: its `.env` is read, and relative places begin
there.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lakehouse.errors import SetupError, list_problems
from lakehouse.failpoints import KILL_AT
from lakehouse.storage.message_queue import find_queue_problem
from lakehouse.storage.object_store import find_uri_problem, is_remote

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


def find_default_data() -> Path:
    """Returns the folder for everything, unless a setting names another: `data/` of the project."""
    return Path.cwd() / "data"


class Settings(BaseSettings):
    """What differs between a laptop and production; a laptop needs none of it.

    Attributes:
        data: the folder for everything, `data/` of the project by default.
        lake: where the tables are; `<data>/lake` by default, or a URI such as `s3://bucket/lake`.
        landing: where files are delivered; `<data>/landing` by default, or a URI.
        landing_queue: the URL of an SQS queue to which the bucket of landing sends its
            notifications; None: landing is listed at each look.
        listing_seconds: with a queue, how often all of landing is listed all the same; None: as
            often as the environment says.
        storage_options: object store options for both, as delta-rs takes them, in JSON.
        storage_secret: the name or ARN of a secret in AWS Secrets Manager with more of these
            options.
        single_writer: whether only this machine writes to the lake. Needed for a bucket without
            conditional put.
        rest_seconds: how long a delivered file has to lie unchanged before it counts as complete;
            None: as long as the landing zone says.
        ui_hosts: names, separated by commas, under which browsers reach the UI beside this
            machine's own, such as `dagster.example.com`.
        ingest_limits: limits of a delivered file other than the defaults, in JSON.
        follow_links: whether links in landing are followed, as long as they stay within it.
    """

    model_config = SettingsConfigDict(env_prefix="LAKEHOUSE_", extra="ignore", frozen=True)

    data: Path = Field(default_factory=find_default_data)
    lake: str | None = None
    landing: str | None = None
    landing_queue: str | None = None
    listing_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    storage_options: Annotated[dict[str, SecretStr], NoDecode] = Field(default_factory=dict)
    storage_secret: str | None = None
    single_writer: bool = False
    rest_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    ui_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    ingest_limits: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    follow_links: bool = False

    @field_validator("data")
    @classmethod
    def _resolve_folder(cls, folder: Path) -> Path:
        if folder == Path():
            raise ValueError("is empty; unset it, or name a folder")
        return folder.expanduser().resolve()

    @field_validator("lake", "landing")
    @classmethod
    def _resolve_place(cls, place: str | None) -> str | None:
        if place is None:
            return None
        if not place.strip():
            raise ValueError("is empty; unset it, or name a folder or a URI")
        if wrong := find_uri_problem(place):
            raise ValueError(wrong)
        if is_remote(place):
            return place
        return str(Path(place).expanduser().resolve())

    @field_validator("landing_queue")
    @classmethod
    def _check_queue(cls, url: str | None, known: ValidationInfo) -> str | None:
        if not url:
            return None
        if wrong := find_queue_problem(url):
            raise ValueError(wrong)
        # Landing is missing here if it is wrong itself, which is listed as well.
        landing = known.data.get("landing", "s3://")
        if landing is None or not landing.startswith(("s3://", "s3a://")):
            raise ValueError("needs landing in a bucket: set LAKEHOUSE_LANDING to s3://…")
        return url

    @field_validator("ui_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, text: object) -> object:
        """Splits names at commas; what is no name would match nothing, and nobody would see why."""
        if not isinstance(text, str):
            return text
        hosts = tuple(host.strip() for host in text.split(",") if host.strip())
        if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
            raise ValueError(
                f"holds {', '.join(map(repr, wrong))}; write names such as dagster.example.com, "
                "*.example.com or dagster.example.com:8443, without scheme and path"
            )
        return hosts

    @field_validator("storage_options", "ingest_limits", mode="before")
    @classmethod
    def _decode(cls, text: object) -> object:
        """Decodes JSON here, not in pydantic-settings, so that a mistake is listed."""
        try:
            return json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error.msg} at character {error.colno}") from None

    @property
    def lake_uri(self) -> str:
        """Where the tables are."""
        return self.lake or str(self.data / "lake")

    @property
    def landing_uri(self) -> str:
        """Where files are delivered."""
        return self.landing or str(self.data / "landing")


def _describe_problem(place: tuple[int | str, ...], reason: str) -> str:
    setting, *keys = map(str, place)
    below = f" at {'.'.join(keys)}" if keys else ""
    return f"LAKEHOUSE_{setting.upper()}{below}: {reason.removeprefix('Value error, ')}"


def find_dagster_home(known: Settings) -> Path:
    """Returns the folder of Dagster's storage: `DAGSTER_HOME`, or else a folder below the data.

    `DAGSTER_HOME` in `.env` counts only with the data folder that `.env` names, not with another
    one from the environment.

    Raises:
        SetupError: Dagster would misread its path.
    """
    home = _find_home(known)
    # Dagster puts the path into the URL of its databases as it is, and `?` ends a path there: the
    # databases would lie beside the folder, and no table of theirs would be found.
    if "?" in str(home):
        raise SetupError(
            f"Dagster's storage cannot be in {home}: Dagster misreads ? in the path of a folder.\n"
            "Next: choose another folder (LAKEHOUSE_DATA or DAGSTER_HOME)."
        )
    return home


def _find_home(known: Settings) -> Path:
    if named := os.environ.get("DAGSTER_HOME"):
        return Path(named)
    in_file = {name: value for name, value in dotenv_values(Path.cwd() / ".env").items() if value}
    named_data = Path(in_file.get("LAKEHOUSE_DATA") or find_default_data())
    its_data = Settings(data=named_data, _env_file=None).data  # type: ignore[call-arg]
    if its_data == known.data and "DAGSTER_HOME" in in_file:
        return Path(in_file["DAGSTER_HOME"])
    return known.data / "dagster"


def load_settings() -> Settings:
    """Returns the settings of this process, from its environment or from `.env` in its folder.

    Raises:
        SetupError: naming every setting that is unknown or wrong.
    """
    file = Path.cwd() / ".env"
    lines = dotenv_values(file)
    for name, value in lines.items():
        if name.startswith("AWS_") and value:
            # As Dagster does with every line, for the libraries that read these variables.
            os.environ.setdefault(name, value)
    known = {f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields}
    given = sorted(name for name in {**lines, **os.environ} if name.startswith("LAKEHOUSE_"))
    problems = [f"{name} is not a setting" for name in given if name not in known | {KILL_AT}]
    try:
        settings = Settings(_env_file=file)  # type: ignore[call-arg]
    except ValidationError as error:
        problems += [_describe_problem(one["loc"], one["msg"]) for one in error.errors()]
    if problems:
        next_step = f"correct or unset them. The settings are {', '.join(sorted(known))}."
        raise SetupError(list_problems("Some settings are wrong.", problems, next_step))
    return settings
