"""Secrets in addresses: what a URL carries beside its place is hidden before a text is shown.

A key before the host, the signature of a presigned address and a token behind a question mark are
as good as a password. Messages are printed, logged and stored, so each error of the engine hides
them (`errors.LakehouseError`). It needs the standard library alone.
"""

import re

HIDDEN = "…"
# Where an address ends: at a blank, a quote or an angle bracket.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>//?)(?P<rest>[^\s\"'<>`]+)")
_USER = re.compile(r"(?P<user>[^/?#]*)@")
# A key of AWS may hold slashes, so what stands behind a colon and is no port reaches to the `@`.
_USER_WITH_SLASHES = re.compile(r"(?P<user>[^/?#:@]+:(?!\d{1,5}[/?#])[^@?#]*)@")
_QUERY = re.compile(r"(?P<before>[?&#;](?P<name>[^=&#;?]+)=)(?P<value>[^&#;]*)")
# Values that tell which objects a store was asked for, and open nothing.
_PLAIN = frozenset(
    ("delimiter", "list-type", "location", "max-keys", "prefix", "start-after", "versionid", "x-id")
)
_SECRET_NAME = re.compile(
    r"(?P<before>(?<![\w-])(?:x-amz-(?:signature|credential|security-token)|x-goog-signature|sig"
    r"|signature|awsaccesskeyid|(?:access|id|refresh|auth|session|api|bearer)[_-]?(?:token|key)"
    r"|token|secret|password|passwd|pwd|client_secret|jwt)=)(?P<value>[^\s&;,?#\"'<>`]+)",
    re.IGNORECASE,
)
_CONTAINER_SCHEMES = ("abfs", "abfss", "az", "adl", "wasb", "wasbs")
"""Schemes of Azure, which write `container@account` where others write a user."""


def hide_url_secrets(text: str) -> str:
    """Returns a text in which no address shows a user, a password, a signature or a token."""
    if "=" not in text and "@" not in text:
        return text
    return _SECRET_NAME.sub(rf"\g<before>{HIDDEN}", _URL.sub(_hide_in_url, text))


def has_user(place: str) -> bool:
    """Returns whether an address names a user, a key or a password before its host."""
    found = _URL.match(place)
    return found is not None and _hide_user(found["scheme"], found["rest"]) != found["rest"]


def _hide_in_url(found: re.Match[str]) -> str:
    shown = _hide_user(found["scheme"], found["rest"])
    shown = _QUERY.sub(_hide_value, shown)
    return f"{found['scheme']}:{found['slashes']}{shown}"


def _hide_user(scheme: str, rest: str) -> str:
    user = _USER.match(rest) or _USER_WITH_SLASHES.match(rest)
    if user is None:
        return rest
    is_container = scheme.lower() in _CONTAINER_SCHEMES and ":" not in user["user"]
    return rest if is_container else f"{HIDDEN}{rest[user.end() - 1 :]}"


def _hide_value(found: re.Match[str]) -> str:
    is_plain = found["name"].lower() in _PLAIN
    return found[0] if is_plain else f"{found['before']}{HIDDEN}"
