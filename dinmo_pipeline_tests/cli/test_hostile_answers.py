"""What a hostile server says to people: whatever stands in its answers is shown written out, on every way to a terminal or a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..people import activation, make_people
from ..servers.lying_ftp import lying_ftp
from ..servers.lying_http import lying_http
from ..servers.running import HOST
from .conftest import Dinmo

BIDI = "\u202eevil\u2066"
HOSTILE = f"\x1b[2J\x1b]0;owned\x07{BIDI}"


@pytest.mark.parametrize("command", ["PASS", "CWD", "STOR", "greeting"])
def test_answer_of_an_ftp_server_commands_no_terminal(command: str, dinmo: Dinmo, tmp_path: Path) -> None:
    line = f"550 {HOSTILE}\r\n".encode()
    says: dict[str, object] = {"greeting": [line]} if command == "greeting" else {"answers": {command: [line], "PASV": [b"227 no\r\n"]}}
    with lying_ftp(**says) as server:
        storage = f"""---
type: dinmo_pipeline.FtpServer
attributes: {{name: there, host: {HOST}, port: {server.port}, tls: none, retry_for: 0}}
"""
        root = make_people(tmp_path, activation("sent", destination="there") + storage)
        done = dinmo("sync", "sent", project=root)
        status = dinmo("status", project=root)
        history = dinmo("history", "sent", "--json", project=root)
    assert done.code == 1
    assert f"ftp://anonymous@{HOST}" in done.err
    assert not set(HOSTILE) & set("\x1b\x07\u202e\u2066") & set(done.out + done.err + status.out + status.err + history.out)
    assert not any(b"\x1b[2J" in path.read_bytes() for path in root.rglob("*.err"))


def test_answer_of_a_store_commands_no_terminal(dinmo: Dinmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "c2VjcmV0")
    # XML has no other characters of that kind.
    body = f"<Error><Code>Evil{BIDI}</Code><Message>{BIDI}</Message></Error>"
    with lying_http(lambda *_: (403, {"Content-Type": "application/xml"}, body.encode())) as server:
        storage = f"""---
type: dinmo_pipeline.S3Bucket
attributes: {{name: there, bucket: b, region: eu-west-3, access_key_id: k, secret_access_key: {{env: KEY}}, endpoint_url: "{server.url}", \
retry_for: 0}}
"""
        root = make_people(tmp_path, activation("sent", destination="there") + storage)
        done = dinmo("sync", "sent", project=root)
    assert done.code == 1
    assert server.url in done.err
    assert not set("\u202e\u2066") & set(done.out + done.err)
