"""Object store options: from the settings, AWS Secrets Manager, or AWS's own variables.

Without any of these the clients ask AWS themselves, for the role of the container or the machine.
"""

import json
import os
import warnings
from collections.abc import Mapping

from pydantic import SecretStr

from lakehouse.errors import OutageError, SetupError, list_problems
from lakehouse.project.settings import Settings
from lakehouse.url_secrets import has_user

_KEYS = {
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
}
_PLACES = {
    "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "aws_endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "aws_allow_http": ("AWS_ALLOW_HTTP",),
}
_PROXY = "proxy_url"  # a proxy may ask for a user, and is told it in this way alone
_REFUSED = (
    "ResourceNotFoundException",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
)


def read_options(known: Settings) -> dict[str, SecretStr]:
    """Returns the options of lake and landing.

    Raises:
        SetupError: the secret does not exist, may not be read, or has no options; or an address
            among the options names a user.
        OutageError: Secrets Manager does not answer.
    """
    secret = _read_secret(known.storage_secret) if known.storage_secret else {}
    named = {**known.storage_options, **secret}
    places = (known.lake_uri, known.landing_uri)
    if not any(place.startswith(("s3://", "s3a://")) for place in places):
        return named
    names = {name.lower().removeprefix("aws_") for name in named}
    # Keys belong together: those of one identity do not work with the token of another.
    has_keys = bool(names & {"access_key_id", "token", "session_token"})
    missing = _PLACES if has_keys else {**_PLACES, **_KEYS}
    found = {
        name: _find_first(variables)
        for name, variables in missing.items()
        if name.removeprefix("aws_") not in names
    }
    options = {**{name: SecretStr(value) for name, value in found.items() if value}, **named}
    _refuse_users(options)
    return options


def _refuse_users(options: Mapping[str, SecretStr]) -> None:
    """Refuses endpoints with a user: no store reads one there, and each client logs it."""
    wrong = [
        f"{name} names a user or a key before its host"
        for name, value in options.items()
        if name.lower() != _PROXY and has_user(value.get_secret_value())
    ]
    if wrong:
        next_step = "write the addresses without them, and give keys as options of their own."
        raise SetupError(list_problems("The options of the store are wrong.", wrong, next_step))


def _find_first(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _read_secret(name: str) -> Mapping[str, SecretStr]:
    """Returns the options that a secret has, stored as a JSON object."""
    # Without a secret no process waits for the import of Dagster, nor opens botocore's socket.
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError  # noqa: PLC0415
    from dagster_aws.secretsmanager import SecretsManagerResource  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dagster-aws calls it beta
        resource = SecretsManagerResource(region_name=_find_first(_PLACES["aws_region"]))
    try:
        text = resource.get_client().get_secret_value(SecretId=name).get("SecretString", "")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        kind = SetupError if code in _REFUSED else OutageError
        raise kind(
            f"{_describe_secret(name)} cannot be read: {code}.\n"
            "Next: check that it exists, and that this process may read it."
        ) from None
    except (NoCredentialsError, NoRegionError) as error:
        next_step = "set AWS_REGION, and give this process a role, or set AWS's variables."
        raise SetupError(
            f"{_describe_secret(name)} cannot be read: {error}\nNext: {next_step}"
        ) from None
    except BotoCoreError as error:
        raise OutageError(
            f"{_describe_secret(name)} cannot be read: {error}\n"
            "Next: check that AWS can be reached, and run again."
        ) from None
    return _decode_options(name, text)


def _decode_options(name: str, text: str) -> dict[str, SecretStr]:
    try:
        decoded = json.loads(text)
    except json.JSONDecodeError:
        decoded = None
    if not isinstance(decoded, dict) or not all(
        isinstance(value, str) for value in decoded.values()
    ):
        raise SetupError(
            f"{_describe_secret(name)} holds no storage options.\n"
            "Next: store a JSON object of strings in it: "
            '{"aws_access_key_id": "…", "aws_secret_access_key": "…"}.'
        )
    return {str(option): SecretStr(value) for option, value in decoded.items()}


def _describe_secret(name: str) -> str:
    return f"The secret {name!r} that LAKEHOUSE_STORAGE_SECRET names"
