"""Which requests Dagster's web server answers: those of its own pages and of programs.

Dagster has no login, looks at neither the Host nor the Origin of a request, and runs mutations that
come by GET. So any page in a browser that reaches the server, and any image in a text that it
shows, could delete the history of assets. This ASGI middleware stands in front of it. It protects
against pages of others in the browser of somebody who may use the UI; who may use it is decided by
the network, or by a proxy with a login.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READING = ("GET", "HEAD", "OPTIONS")
# A page may send these to any server without asking it first, also `text/plain; application/json`,
# which Dagster takes for JSON.
_SENT_UNASKED = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_GRAPHQL_BODIES = ("application/json", "application/graphql")
_FOREIGN = ("cross-site", "same-site")
# A browser obeys each such header, so this one adds to Dagster's own. An image in a description or
# a note would tell its server who looks at it, and could name any address of the network.
_LIMITS = (
    (b"content-security-policy", b"img-src 'self' data: blob:; frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
)


class RequestGuard:
    """Refuses requests that a page of another site may have caused.

    Attributes:
        hosts: the names under which the server is reached beside this machine's own, each with a
            port if a browser shows one; `*.` in front stands for all names below.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = [host.lower() for host in hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it with a message."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
        elif reason := self.find_refusal(scope):
            await _refuse(reason, scope, receive, send)
        else:
            await self.app(scope, receive, _limit_pages(send))

    def find_refusal(self, scope: Scope) -> str | None:
        """Returns why a request is refused; None if it is answered."""
        headers = Headers(scope=scope)
        is_read = scope["type"] == "websocket" or scope["method"] in _READING
        return (
            self._find_wrong_host(scope, headers)
            or self._find_wrong_origin(headers)
            or _find_foreign_page(headers, is_read=is_read)
            or (_find_mutation_in_address(scope) if is_read else _find_wrong_body(scope, headers))
        )

    def _find_wrong_host(self, scope: Scope, headers: Headers) -> str | None:
        """A name that is led to this machine by its DNS would make any site the server's own."""
        given = headers.getlist("host")
        name = _read_name(given[0]) if len(given) == 1 else ""
        if _is_this_machine(name, scope) or _is_listed(name, self.hosts, with_port=False):
            return None
        return (
            f"This server does not answer for the host {', '.join(given) or 'without a name'}.\n"
            "Next: if you reach it by that name, add the name to the setting LAKEHOUSE_UI_HOSTS."
        )

    def _find_wrong_origin(self, headers: Headers) -> str | None:
        """A browser says from which site the page is that sends a request."""
        host = headers["host"].lower()
        for origin in headers.getlist("origin"):
            netloc = urlsplit(origin.lower()).netloc
            if not netloc or (netloc != host and not _is_listed(netloc, self.hosts)):
                return (
                    f"This server does not answer to pages of {origin}.\n"
                    "Next: if that is the address under which you open the UI, add its name, with "
                    "its port, to the setting LAKEHOUSE_UI_HOSTS."
                )
        return None


def _read_name(host: str) -> str:
    """Returns the name in a Host header, in lower case; empty if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        is_plain = parts.netloc == host and parts.username is None and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        return ""
    return (parts.hostname or "") if is_plain else ""


def _is_this_machine(name: str, scope: Scope) -> bool:
    """Whether a name is `localhost`, or the very address at which the request arrived.

    The DNS of others cannot lead a name to an address that is written as numbers.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    arrived = scope.get("server") or ("", None)
    try:
        asked, at = ip_address(name), ip_address(arrived[0])
    except ValueError:
        return False
    return asked == at or (asked.is_loopback and at.is_loopback)


def _is_listed(name: str, hosts: Iterable[str], *, with_port: bool = True) -> bool:
    for host in hosts:
        wanted = host if with_port else _read_name(host)
        if name == wanted or (wanted.startswith("*.") and name.endswith(wanted[1:])):
            return True
    return False


def _find_foreign_page(headers: Headers, *, is_read: bool) -> str | None:
    """Browsers say with each request whether it comes from another site; old ones do not."""
    if headers.get("sec-fetch-site") not in _FOREIGN:
        return None
    # A link on another page may lead here, into a window of its own.
    is_link = is_read and headers.get("sec-fetch-mode") == "navigate"
    if is_link and headers.get("sec-fetch-dest", "document") == "document":
        return None
    return "This server answers to its own pages alone.\nNext: open the UI in a window of its own."


def _is_graphql(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith("/graphql"))


def _find_mutation_in_address(scope: Scope) -> str | None:
    """What a link, an image or a reload can repeat has to change nothing."""
    if not _is_graphql(scope):
        return None
    asked = QueryParams(scope["query_string"]).multi_items()
    if all(_only_reads(text) for name, text in asked if name == "query"):
        return None
    return "A mutation may not stand in an address.\nNext: send it by POST, as JSON."


def _only_reads(query: str) -> bool:
    try:
        document = parse(query)
    except (GraphQLError, RecursionError):
        return False
    return all(
        one.operation == OperationType.QUERY
        for one in document.definitions
        if isinstance(one, OperationDefinitionNode)
    )


def _find_wrong_body(scope: Scope, headers: Headers) -> str | None:
    """A form or script of another page cannot send JSON without asking, which is never granted."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in headers.getlist("content-type")]
    if _is_graphql(scope):
        is_wrong = len(kinds) != 1 or kinds[0] not in _GRAPHQL_BODIES
    else:
        is_wrong = len(kinds) > 1 or any(kind in _SENT_UNASKED for kind in kinds)
    if not is_wrong:
        return None
    return (
        f"A request may not change anything as {', '.join(kinds) or 'a body without a type'}.\n"
        "Next: send it with Content-Type: application/json."
    )


async def _refuse(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason.splitlines()[0]})
        return
    headers = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
    await PlainTextResponse(f"{reason}\n", 403, headers)(scope, receive, send)


def _limit_pages(send: Send) -> Send:
    """Tells the browser that no other page may frame an answer, and it may load no other images."""

    async def send_with_limits(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_LIMITS]
        await send(message)

    return send_with_limits
