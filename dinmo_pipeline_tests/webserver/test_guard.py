"""Who may ask the Dagster UI for what: a table of requests, and the refusals in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dinmo_pipeline.webserver.guard import SameOriginGuard

HOST = "127.0.0.1:3000"
JSON = {"content-type": "application/json"}
OPENED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


UI = "https://ui.example.com"


def ask(method: str, path: str, headers: dict[str, str], *, kind: str = "http", ui_url: str = UI) -> tuple[int, str]:
    """The status and the text that the guard answers; 200 and `passed` where the application behind it was asked."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"passed"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the guard reads no body")

    path, _, query = path.partition("?")
    raw = [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    asyncio.run(SameOriginGuard(app, ui_url)(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return 403, ""
    assert kind == "websocket" or sent[0]["status"] != 200 or (b"x-frame-options", b"SAMEORIGIN") in sent[0]["headers"]
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/", {"host": "localhost:3000"}),
        ("GET", "/", {"host": "[::1]:3000"}),
        ("GET", "/", {"host": "LOCALHOST"}),
        ("GET", "/", {"host": "ui.example.com"}),
        ("GET", "/", {"host": "ui.example.com:3000"}),
        ("POST", "/graphql", JSON),
        ("POST", "/graphql", {"content-type": "Application/JSON; charset=utf-8"}),
        ("POST", "/graphql", {**JSON, "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}),
        # A proxy that speaks TLS and asks us under our own address.
        ("POST", "/graphql", {**JSON, "origin": "https://ui.example.com", "sec-fetch-site": "same-origin"}),
        ("POST", "/graphql", {**JSON, "host": "ui.example.com:443", "origin": "https://ui.example.com"}),
        ("GET", "/assets", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("GET", "/runs/1", OPENED),
        ("GET", "/graphql", {"accept": "text/html"}),
        ("POST", "/report_asset_materialization/oven/bread?metadata=1", {}),
    ],
)
def test_own_pages_programs_and_links_pass(method: str, path: str, headers: dict[str, str]) -> None:
    assert ask(method, path, headers) == (200, "passed")


@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [
        (421, "GET", "/", {"host": "evil.example"}),
        (421, "GET", "/", {"host": "evil.example:3000"}),
        (421, "GET", "/", {"host": "127.0.0.1.evil.example"}),
        (421, "GET", "/", {"host": ""}),
        (403, "POST", "/graphql", {**JSON, "origin": "https://evil.example"}),
        (403, "POST", "/graphql", {**JSON, "origin": "null"}),
        (403, "POST", "/graphql", {**JSON, "origin": "http://["}),
        (403, "POST", "/graphql", {**JSON, "origin": ""}),
        # Another program's page on the same machine.
        (403, "POST", "/graphql", {**JSON, "origin": "http://127.0.0.1:8080"}),
        (403, "POST", "/graphql", {**JSON, "origin": "http://localhost:3000"}),
        (403, "POST", "/graphql", {**JSON, "origin": "https://ui.example.com:8443"}),
        (403, "POST", "/report_asset_check/oven/bread?passed=true", {"origin": "https://evil.example"}),
        (403, "GET", "/server_info", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
        (403, "GET", "/server_info", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}),
        (403, "GET", "/", {**OPENED, "sec-fetch-dest": "iframe"}),
        (403, "POST", "/", OPENED),
        (405, "GET", "/graphql?query=mutation", {}),
        (405, "HEAD", "/graphql?query=mutation", {}),
        (405, "GET", "/graphql/?query=mutation", OPENED),
        (405, "GET", "/shop/graphql?query=mutation", {}),
        (415, "POST", "/graphql?query=mutation", {}),
        (415, "POST", "/graphql", {"content-type": "text/plain; x=application/json"}),
        (415, "POST", "/graphql", {"content-type": "application/graphql"}),
        (415, "POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}),
    ],
)
def test_what_others_ask_is_refused_in_words(
    status: int, method: str, path: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    answered, text = ask(method, path, headers)
    assert answered == status
    assert text.strip()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert text.strip() in caplog.text


def test_a_socket_of_another_page_is_closed_before_it_opens() -> None:
    assert ask("GET", "/graphql", {"origin": "https://evil.example"}, kind="websocket")[0] == 403
    assert ask("GET", "/graphql", {"origin": "http://127.0.0.1:3000"}, kind="websocket") == (200, "passed")


def test_proxy_may_have_a_port_of_its_own() -> None:
    origin = {**JSON, "origin": "https://ui.example.com:8443"}
    assert ask("POST", "/graphql", origin, ui_url="https://ui.example.com:8443/dagster") == (200, "passed")
    assert ask("POST", "/graphql", {**JSON, "origin": "https://ui.example.com"}, ui_url="https://ui.example.com:8443")[0] == 403


def test_without_an_address_of_its_own_loopback_alone_is_taken() -> None:
    assert ask("GET", "/", {}, ui_url="") == (200, "passed")
    assert ask("GET", "/", {"host": ""}, ui_url="")[0] == 421
    assert ask("POST", "/graphql", {**JSON, "origin": "null"}, ui_url="")[0] == 403


def test_a_refusal_says_what_lets_the_host_in() -> None:
    assert ask("GET", "/", {"host": "etl1:3000"}) == (
        421,
        "the address names the host 'etl1:3000', which is not this UI's; if it is, set DINMO_UI_URL to the UI's address, "
        "such as https://dagster.shop.example, and start again\n",
    )


@pytest.mark.parametrize("origin", ["http://ui.example.com", "http://ui.example.com:80", "http://UI.example.com:443"])
@pytest.mark.parametrize("host", [HOST, "ui.example.com"])
def test_page_of_the_same_name_without_tls_is_another_one(origin: str, host: str) -> None:
    status, text = ask("POST", "/graphql", {**JSON, "host": host, "origin": origin})
    assert (status, "came without TLS" in text) == (403, True)
    assert ask("GET", "/graphql", {"host": host, "origin": origin}, kind="websocket")[0] == 403
    assert ask("POST", "/graphql", {**JSON, "host": host, "origin": origin}, ui_url="http://ui.example.com")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil@127.0.0.1:3000"},
        {"origin": "http://[::1"},
        {"host": "localhost.evil.example"},
        {"host": "evil.example@localhost"},
        {"host": "localhost,evil.example"},
        {"host": "[::1].evil.example"},
        {"host": "localhost:80:3000"},
        {"host": "127.1:3000"},
        {"host": "0.0.0.0:3000"},
        {"host": "localhost.:3000"},
        {"host": ""},
        {"content-type": "application/json, text/plain"},
        {"content-type": "text/plain; x=application/json"},
    ],
)
def test_tricks_with_headers_are_refused(headers: dict[str, str]) -> None:
    assert ask("POST", "/graphql", {**JSON, **headers})[0] in {403, 415, 421}


@pytest.mark.parametrize("path", ["//graphql?query=x", "/graphql/?query=x", "/ui/graphql?query=x"])
def test_tricks_with_paths_are_refused(path: str) -> None:
    assert ask("GET", path, {})[0] == 405
