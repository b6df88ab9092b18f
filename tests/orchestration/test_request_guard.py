"""The UI's server: which requests it answers, asked of the real one over real connections."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.types import Scope
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lakehouse.errors import SetupError
from lakehouse.orchestration.request_guard import RequestGuard
from lakehouse.project.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
TINY = """
import dagster as dg

@dg.asset
def kept():
    "An asset with a history."
"""
WIPE = (
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["kept"]}}]) { __typename } }'
)
HISTORY = '{ assetOrError(assetKey: {path: ["kept"]}) { ... on Asset { assetMaterializations { runId } } } }'
JSON = {"Content-Type": "application/json"}
OWN = "dagster.example.com"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real server with one asset that was materialized once, reached as OWN too."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "tiny.py").write_text(TINY)
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lakehouse.orchestration.web_server", "-f", "tiny.py"]
    known = {n: v for n, v in os.environ.items() if not n.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    known |= {"DAGSTER_HOME": str(folder), "LAKEHOUSE_UI_HOSTS": OWN, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-p", str(port)],
            cwd=folder,
            env=known,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until_it_answers(port, process, folder / "log")
            status, _ = ask(port, "POST", "/report_asset_materialization/kept", {}, "")
            assert (status, read_history(port)) == (200, 1)
            yield port
        finally:
            # With its code server; asked to end, they take seconds.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        try:
            if ask(port, "GET", "/server_info", {})[0] == 200:
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def ask(
    port: int, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def query(text: str) -> str:
    return json.dumps({"query": text})


def read_history(port: int) -> int:
    status, found = ask(port, "POST", "/graphql", JSON, query(HISTORY))
    assert status == 200, found
    return len(json.loads(found)["data"]["assetOrError"]["assetMaterializations"])


MUTATION = f"/graphql?query={quote(WIPE)}"
HERE = "http://127.0.0.1:{port}"
ATTACKS = {
    "an image whose address is a mutation": ("GET", MUTATION, {}, None),
    "a link to a mutation": ("GET", MUTATION, {"Accept": "text/html"}, None),
    "a mutation by HEAD": ("HEAD", MUTATION, {}, None),
    "a mutation in front of a query": ("GET", f"{MUTATION}&query={quote(HISTORY)}", {}, None),
    "a mutation behind a query": (
        "GET",
        f"/graphql?operationName=b&query={quote('query a { version } mutation b { __typename }')}",
        {},
        None,
    ),
    "a mutation at an encoded path": ("GET", MUTATION.replace("graphql", "%67raphql"), {}, None),
    "a form": ("POST", "/graphql", {"Content-Type": "application/x-www-form-urlencoded"}, "a=b"),
    "a mutation in the address of a form": ("POST", MUTATION, {}, ""),
    "a text that is taken for JSON": (
        *("POST", "/graphql", {"Content-Type": "text/plain; application/json"}),
        query(WIPE),
    ),
    "a form with files": (
        *("POST", "/graphql", {"Content-Type": "multipart/form-data; boundary=application/json"}),
        query(WIPE),
    ),
    "a page of another site": (
        "POST",
        "/graphql",
        {**JSON, "Origin": "http://evil.example"},
        query(WIPE),
    ),
    "a page on another port": (
        "POST",
        "/graphql",
        {**JSON, "Origin": "http://127.0.0.1:1"},
        query(WIPE),
    ),
    "a page in a sandbox": ("POST", "/graphql", {**JSON, "Origin": "null"}, query(WIPE)),
    "a name that is led here": ("POST", "/graphql", {**JSON, "Host": "evil.example"}, query(WIPE)),
    "a name that is led here, with its port": (
        *("POST", "/graphql", {**JSON, "Host": "evil.example:3000"}),
        query(WIPE),
    ),
    "a name that contains ours": ("GET", "/", {"Host": f"{OWN}.evil.example"}, None),
    "a name that ends like ours": ("GET", "/", {"Host": f"evil{OWN}"}, None),
    "a name with ours as its user": ("GET", "/", {"Host": f"{OWN}@evil.example"}, None),
    "another address": ("GET", "/", {"Host": "10.1.2.3"}, None),
    "a name that is none": ("GET", "/", {"Host": "[::1"}, None),
    "an empty name": ("GET", "/", {"Host": ""}, None),
    "a report by another page": (
        *("POST", "/report_asset_materialization/kept", {"Origin": "http://evil.example"}),
        "",
    ),
    "a report by a form": (
        *("POST", "/report_asset_materialization/kept", {"Content-Type": "text/plain"}),
        "{}",
    ),
    "a frame of another page": (
        "GET",
        "/",
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        None,
    ),
    "an image on another page": (
        "GET",
        "/logs/x",
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        None,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_request_that_a_foreign_page_may_cause_is_refused(port, attack):
    status, answer = ask(port, *attack)
    assert status == 403
    assert attack[0] == "HEAD" or "\nNext: " in answer
    assert read_history(port) == 1


ORDINARY = {
    "the UI": ("GET", "/", {}, None),
    "the UI by a link of another site": (
        "GET",
        "/runs",
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        },
        None,
    ),
    "a query of the UI": (
        "POST",
        "/graphql",
        {**JSON, "Origin": HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        query(HISTORY),
    ),
    "a mutation of the UI": (
        *("POST", "/graphql", {**JSON, "Origin": HERE}),
        query(
            'mutation { logTelemetry(action: "a", clientTime: "1", clientId: "b", metadata: "{}") { __typename } }'
        ),
    ),
    "the UI behind a proxy that keeps the name": (
        *("POST", "/graphql", {**JSON, "Host": OWN, "Origin": f"https://{OWN}"}),
        query(HISTORY),
    ),
    "the UI behind a proxy that asks by address": (
        *("POST", "/graphql", {**JSON, "Origin": f"https://{OWN}"}),
        query(HISTORY),
    ),
    "a query in an address": ("GET", f"/graphql?query={quote(HISTORY)}", {}, None),
    "localhost": ("GET", "/server_info", {"Host": "localhost:3000"}, None),
    "JSON with a charset": (
        *("POST", "/graphql", {"Content-Type": "Application/JSON; charset=utf-8".lower()}),
        query(HISTORY),
    ),
}


@pytest.mark.parametrize("asked", ORDINARY.values(), ids=ORDINARY)
def test_what_the_ui_and_programs_ask_is_answered(port, asked):
    method, path, headers, body = asked
    headers = {name: value.format(port=port) for name, value in headers.items()}
    status, answer = ask(port, method, path, headers, body)
    assert status == 200, answer


def test_no_other_page_may_frame_the_ui_and_the_ui_loads_no_other_image(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    dagsters, ours = headers.get_all("content-security-policy")
    assert "script-src" in dagsters
    assert ours == "img-src 'self' data: blob:; frame-ancestors 'self'"
    assert headers["x-frame-options"] == "SAMEORIGIN"


def open_socket(port: int, origin: str | None, host: str | None = None) -> str:
    """What the server first says on a websocket."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        address = f"ws://{host or f'127.0.0.1:{port}'}/graphql"
        with connect(address, sock=plain, origin=origin, subprotocols=["graphql-ws"]) as opened:
            opened.send('{"type": "connection_init"}')
            return str(opened.recv(timeout=20))


@pytest.mark.parametrize("origin", [HERE, None])
def test_a_subscription_of_the_ui_or_of_a_program_is_served(port, origin):
    assert "connection_ack" in open_socket(port, origin and origin.format(port=port))


@pytest.mark.parametrize(
    ("origin", "host"), [("http://evil.example", None), ("null", None), (None, "evil.example")]
)
def test_a_subscription_of_a_foreign_page_is_refused(port, origin, host):
    with pytest.raises(InvalidStatus, match="403"):
        open_socket(port, origin, host)


def refusal(hosts: tuple[str, ...], **headers: str) -> str | None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": raw,
    }
    scope["server"] = ("10.0.0.7", 3000)
    return RequestGuard(lambda *_: None, hosts).find_refusal(scope)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "host", ["10.0.0.7", "10.0.0.7:3000", "ui.localhost", "a.example.com", "X.IO:8443"]
)
def test_a_host_that_is_listed_or_where_the_request_arrived_is_answered(host):
    assert refusal(("*.example.com", "x.io:8443"), host=host) is None


@pytest.mark.parametrize(
    "host", ["10.0.0.8", "127.0.0.1", "example.com", "evil-example.com", "x.io.evil"]
)
def test_another_host_is_refused(host):
    assert "LAKEHOUSE_UI_HOSTS" in str(refusal(("*.example.com", "x.io:8443"), host=host))


def test_two_host_headers_are_refused():
    raw = [(b"host", b"localhost"), (b"host", b"evil.example")]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw}
    assert "evil.example" in str(RequestGuard(lambda *_: None).find_refusal(scope))  # type: ignore[arg-type, return-value]


def test_an_origin_on_another_port_of_a_listed_name_is_refused():
    asked = {"host": "a.example.com", "origin": "https://a.example.com:81"}
    assert "LAKEHOUSE_UI_HOSTS" in str(refusal(("a.example.com",), **asked))
    assert refusal(("a.example.com:81",), **asked) is None


@pytest.mark.parametrize(
    "text", ["https://a.io", "a.io/x", "a io", "*.*.io", "*", "a.io:x", "u@a.io"]
)
def test_a_setting_that_is_no_list_of_names_is_refused(text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_UI_HOSTS", f"b.io, {text}")
    with pytest.raises(SetupError, match=r"LAKEHOUSE_UI_HOSTS: holds .*without scheme and path"):
        load_settings()


def test_names_are_separated_by_commas(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_UI_HOSTS", "a.io, *.b.io:8443,")
    assert load_settings().ui_hosts == ("a.io", "*.b.io:8443")
