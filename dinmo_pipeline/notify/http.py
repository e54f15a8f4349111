"""JSON to a web address, by the standard library."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dinmo_pipeline.errors import MessageError, TransientMessageError
from dinmo_pipeline.notify.patience import patient

_LONGEST_S = 15.0
_ANSWER_CHARACTERS = 200


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Refuse to follow: a message that is sent elsewhere has not arrived, so the answer is an error."""
        return


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _be_patient(self)


class _SecuredConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _be_patient(self)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _SecuredHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecuredConnection, request)


def _be_patient(connection: Any) -> None:
    # The library's own time is for each byte.
    connection.sock = patient(connection.sock, connection.timeout)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def post_json(url: str, body: bytes, headers: Mapping[str, str], *, what: str, timeout_s: float) -> None:
    """Post `body` as JSON. The address may be a secret, so errors call it `what`."""
    if not url.startswith(("https://", "http://")):
        raise MessageError(f"sending a message to {what}: its address does not begin with https:// or http://; correct it")
    # The library takes the port 99999999 for another one, and would try an address without a host again.
    if not _is_web_address(url):
        raise MessageError(f"sending a message to {what}: its address is no web address; correct it")
    try:
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", "User-Agent": "dinmo", **headers})
        opener = urllib.request.build_opener(_NoRedirects(), _Handler(), _SecuredHandler())
        with opener.open(request, timeout=min(timeout_s, _LONGEST_S)):
            return
    except (http.client.InvalidURL, ValueError):
        # It quotes the address.
        raise MessageError(f"sending a message to {what}: its address is no web address; correct it") from None
    except urllib.error.HTTPError as error:
        with error:
            answer = error.read(_ANSWER_CHARACTERS).decode("utf-8", "replace").strip()
        kind = TransientMessageError if error.code == 429 or error.code >= 500 else MessageError
        raise kind(f"sending a message to {what}: it answered {error.code} {error.reason}: {answer or 'nothing more'}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise TransientMessageError(f"sending a message to {what}: {reason}") from None
