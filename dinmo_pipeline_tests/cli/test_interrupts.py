"""Ctrl-C on a terminal: the command ends at once, as it says while it waits for a server that is away."""

from __future__ import annotations

import os
import pty
import time
from pathlib import Path

import asyncssh

from ..people import BIN, activation, make_people
from ..servers.asyncssh_server import PlainSftp, asyncssh_server
from ..servers.relay import RELAY_HOST, Relay
from ..servers.running import free_port
from ..waiting import PATIENCE_S
from .conftest import Dinmo

CTRL_C = b"\x03"


def test_ctrl_c_while_a_server_is_away_ends_the_command_with_one_line_and_syncs_nothing_more(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("first", destination="away") + activation("second"))
    with (root / "defs" / "people" / "defs.yaml").open("a", encoding="utf-8") as definitions:
        definitions.write(
            f"---\ntype: dinmo_pipeline.FtpServer\nattributes: {{name: away, host: 127.0.0.1, port: {free_port()}, tls: none}}\n"
        )

    code, seen = _interrupted_when(b"waiting, next try", "dinmo", "sync", "--all", cwd=root)

    assert code == 130
    assert "\nfirst: stopped by Ctrl-C while delivering; what it had begun to deliver is completed by its next sync" in seen.replace(
        "\r", ""
    ), seen
    assert "Traceback" not in seen
    assert "Stack Trace" not in seen
    assert not (root / "out" / "second").exists()


def test_ctrl_c_while_parts_wait_in_a_thread_of_their_own_ends_with_one_line_and_no_row_comes_twice(dinmo: Dinmo, tmp_path: Path) -> None:
    relay = Relay()
    went: list[bytes] = []

    class GoesAway(PlainSftp):
        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            if pflags & asyncssh.FXF_WRITE and not went:
                went.append(path)
                relay.go_away()
            return super().open(path, pflags, attrs)

    with asyncssh_server(GoesAway) as server, relay.listening([server.port]):
        storage = f"""---
type: dinmo_pipeline.SftpServer
attributes: {{name: away, host: {RELAY_HOST}, port: {server.port}, username: partner, host_key: "{server.host_key}", \
private_key: {{file: {server.private_key}}}}}
"""
        root = make_people(tmp_path, activation("changes", destination="away", max_rows="1") + storage)

        code, seen = _interrupted_when(b"Ctrl-C stops", "dinmo", "sync", "changes", cwd=root)
        relay.let_pass()
        again = dinmo("sync", "changes", project=root)

        assert went
        assert code == 130
        assert seen.count("stopped by Ctrl-C") == 1
        assert "Traceback" not in seen
        assert "Stack Trace" not in seen
        assert again.code == 0, again.err
        parts = sorted((server.login("plain").home / "changes").iterdir())
        assert [part.read_text(encoding="utf-8").splitlines()[1][:1] for part in parts] == ["1", "2", "3"]


def _interrupted_when(words: bytes, *command: str, cwd: Path) -> tuple[int, str]:
    """The exit code and the output of the command, in whose terminal Ctrl-C is pressed once these words show."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(BIN / command[0], list(command), {**os.environ, "TERM": "dumb"})
    seen, pressed, end = b"", False, time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
        if not pressed and words in seen:
            os.write(terminal, CTRL_C)
            pressed = True
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert pressed, seen
    return os.waitstatus_to_exitcode(status), seen.decode()
