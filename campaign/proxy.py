"""A proxy in front of an S3 API server that adds errors, delays, resets and lost answers.

What happens to a request depends only on a plan, and a plan depends on a seed: the same requests
meet the same faults.
"""

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BEFORE = ("500", "503", "reset", "silence", "half sent")
"""Faults by which a request never reaches the server."""

AFTER = ("half read", "lost", "500 after")
"""Faults by which it does, and the answer never reaches the client."""

_STATUS = {
    "500": (500, "InternalError"),
    "500 after": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "501": (501, "NotImplemented"),
}
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass(frozen=True)
class Request:
    """A request as a plan sees it.

    Attributes:
        method: GET, PUT, …
        kind: what it is about: `log` for commits, `list`, `landing`, or `data` for all other
            objects.
        number: how many requests of this method and kind came before.
        path: the bucket and key.
        headers: names in lower case.
    """

    method: str
    kind: str
    number: int
    path: str
    headers: dict[str, str]


Plan = Callable[[Request], str | None]
"""Gives the fault that a request meets; None for none."""


def plan_no_fault(_request: Request) -> str | None:
    """Plans no fault."""
    return None


def plan_random_faults(seed: int, share: float, *, kinds: tuple[str, ...] = BEFORE + AFTER) -> Plan:
    """Plans a fault for each request with some probability."""

    def plan(request: Request) -> str | None:
        dice = random.Random(f"{seed} {request.method} {request.kind} {request.number}")
        return dice.choice(kinds) if dice.random() < share else None

    return plan


def plan_outage(after: int, fault: str) -> Plan:
    """Plans the same fault for every request from some number on."""
    seen = iter(range(1_000_000_000))
    return lambda _: fault if next(seen) >= after else None


def plan_fault_of_commit(turn: int, fault: str) -> Plan:
    """Plans a fault for one commit and nothing else."""
    return lambda asked: (
        fault if (asked.method, asked.kind, asked.number) == ("PUT", "log", turn) else None
    )


def plan_fault_of_request(turn: int, fault: str) -> Plan:
    """Plans a fault for one request and nothing else."""
    seen = iter(range(1_000_000_000))
    return lambda _: fault if next(seen) == turn else None


def plan_faults_of_first_tries(fault: str) -> Plan:
    """Plans a fault for the first try of each commit, and none when it is tried again."""
    tried: set[str] = set()

    def plan(asked: Request) -> str | None:
        if (asked.method, asked.kind) != ("PUT", "log") or asked.path in tried:
            return None
        tried.add(asked.path)
        return fault

    return plan


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: where it listens.
        upstream: the server behind it.
        plan: what happens to requests from now on.
        seen: how many requests there were, by method and kind.
        met: how many faults there were, by their kind.
        silence: for how many seconds a silent request gets no answer.
        dropped: headers that never reach the server, in lower case.
        written: every request, if they are recorded.
    """

    url: str
    upstream: str
    plan: Plan = plan_no_fault
    seen: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    silence: float = 3.0
    dropped: frozenset[str] = frozenset()
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, method: str, path: str, headers: dict[str, str]) -> str | None:
        """Counts a request and returns the fault that it meets."""
        kind = _kind(path)
        with self.lock:
            name = f"{method} {kind}"
            request = Request(method, kind, self.seen[name], path, headers)
            self.seen[name] += 1
            self.paths.append(f"{method} {path}")
            fault = self.plan(request)
            if fault is not None:
                self.met[fault] += 1
        return fault


def _kind(path: str) -> str:
    parts = urlsplit(path)
    if "list-type" in parts.query or parts.path.count("/") < 2:
        return "list"
    if "/_delta_log/" in parts.path:
        return "log"
    return "landing" if "/landing/" in parts.path else "data"


@contextmanager
def run_proxy(upstream: str) -> Iterator[Proxy]:
    """Runs a proxy in front of a server for as long as the block lasts."""
    proxy = Proxy("", upstream)
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy})
    ) as server:
        server.daemon_threads = True
        server.block_on_close = False
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        try:
            yield proxy
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        address = urlsplit(self.proxy.upstream)
        self.server_side = HTTPConnection(address.hostname or "", address.port)

    def finish(self) -> None:
        self.server_side.close()
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def do_ANY(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.proxy.judge(self.command, self.path, headers)
        body = self.body(headers, half=fault == "half sent")
        if fault == "silence":
            time.sleep(self.proxy.silence)
        if fault in ("reset", "silence", "half sent"):
            self.reset()
        elif fault in ("500", "501", "503"):
            self.refuse(fault)
        else:
            self.pass_on(fault, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_ANY  # noqa: N815, names of http.server

    def body(self, headers: dict[str, str], *, half: bool) -> bytes:
        length = int(headers.get("content-length", 0))
        return self.rfile.read(length // 2 if half else length)

    def pass_on(self, fault: str | None, body: bytes) -> None:
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in self.proxy.dropped | _HOP
        }
        self.server_side.request(
            self.command, self.path, body, {**kept, "Content-Length": str(len(body))}
        )
        answer = self.server_side.getresponse()
        content = answer.read()
        if fault == "lost":
            self.reset()
        elif fault == "500 after":
            self.refuse(fault)
        else:
            self.answer(answer.status, answer.getheaders(), content, half=fault == "half read")

    def answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, *, half: bool = False
    ) -> None:
        told = {name.lower(): value for name, value in headers}
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        self.send_header(
            "Content-Length", told.get("content-length", "0") if is_head else str(len(content))
        )
        self.end_headers()
        if not is_head:
            self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.wfile.flush()
            self.reset()

    def refuse(self, fault: str) -> None:
        status, code = _STATUS[fault]
        text = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Try again.</Message></Error>"
        )
        self.answer(status, [("Content-Type", "application/xml")], text.encode())

    def reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""
