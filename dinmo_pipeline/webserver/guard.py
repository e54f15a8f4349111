"""Refuse what a page of another origin asks of the Dagster UI.

The UI knows no users, and its GraphQL takes changes from any page that the operator's browser shows: by GET, as plain text, under any
host name. A browser says where a request comes from (`Host`, `Origin`, `Sec-Fetch-*`); programs such as curl send no `Origin` and
pass. https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_DEFAULT_PORTS = (":80", ":443")
_READING = ("GET", "HEAD")
_IF_IT_IS = "if it is, set DINMO_UI_URL to the UI's address, such as https://dagster.shop.example, and start again"
_POLICY_VIOLATION = 1008

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not passed on; `status` is the answer's HTTP status, the text says what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SameOriginGuard:
    """An ASGI application before another one, which gets only what its own pages and programs ask.

    `ui_url` is the address at which browsers reach the UI, if it has one beside loopback's: that of a proxy, say.
    A refusal is answered in words and logged as a warning. Pages may not be framed by others.
    """

    def __init__(self, app: AsgiApp, ui_url: str = "") -> None:
        self._app = app
        self._public = _host_of(ui_url)
        self._is_secured = ui_url.lower().startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refusal as refusal:
            _log.warning("refused %s %r: %s", scope.get("method", "websocket"), scope["path"], refusal)
            await _answer(refusal, scope, send)
            return
        await self._app(scope, receive, _unframed(send) if scope["type"] == "http" else send)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = _without_default_port(headers.get("host", "").lower())
        if _name(host) not in _LOOPBACK | {_name(self._public)} - {""}:
            raise Refusal(421, f"the address names the host {host!r}, which is not this UI's; {_IF_IT_IS}")
        if (origin := headers.get("origin")) is not None and _host_of(origin) not in {host, self._public} - {""}:
            raise Refusal(403, f"a page of {origin!r} asked, and this UI answers its own pages alone; {_IF_IT_IS}")
        # Whoever is on the line can put a page of their own under the address without TLS.
        if self._is_secured and origin is not None and not origin.lower().startswith("https://") and _host_of(origin) == self._public:
            raise Refusal(403, f"a page of {origin!r} asked, which came without TLS, and this UI is reached by https://")
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and not _is_page_opened(scope, headers):
            raise Refusal(403, "a page of another site asked, and this UI answers its own pages alone")
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql"):
            _check_graphql(scope, headers)


def _check_graphql(scope: Scope, headers: dict[str, str]) -> None:
    if scope["method"] in _READING and scope["query_string"]:
        raise Refusal(405, "GraphQL is asked by POST here; by GET any link could change something")
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["method"] == "POST" and content_type != "application/json":
        raise Refusal(415, f"GraphQL takes the content type application/json here, and this is {content_type!r}")


def _is_page_opened(scope: Scope, headers: dict[str, str]) -> bool:
    """Return whether a person follows a link to the UI: the other site starts that and sees nothing of it."""
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return opened and scope["type"] == "http" and scope["method"] in _READING


def _host_of(url: str) -> str:
    """Give the host with its port, unless that is 80 or 443; of no URL an empty text."""
    try:
        return _without_default_port(urlsplit(url).netloc.lower())
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Cut the port off: `[::1]` of `[::1]:3000`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _without_default_port(host: str) -> str:
    return next((host.removesuffix(port) for port in _DEFAULT_PORTS if host.endswith(port)), host)


def _unframed(send: Send) -> Send:
    """Add the headers that keep other sites' pages from showing this one's inside, where a click would be theirs."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-frame-options", b"SAMEORIGIN")]
        await send(message)

    return sending


async def _answer(refusal: Refusal, scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it was accepted: the client sees 403.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    body = f"{refusal}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
