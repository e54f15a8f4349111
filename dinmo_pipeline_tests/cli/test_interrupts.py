"""Ctrl-C on a terminal: the command ends at once, as it says while it waits for a server that is away."""

from __future__ import annotations

import os
import pty
import time
from pathlib import Path

from ..people import BIN, activation, make_people
from ..servers.running import free_port

CTRL_C = b"\x03"
PATIENCE_S = 60


def test_ctrl_c_while_a_server_is_away_ends_the_command_with_one_line_and_syncs_nothing_more(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("first", destination="away") + activation("second"))
    with (root / "defs" / "people" / "defs.yaml").open("a", encoding="utf-8") as definitions:
        definitions.write(
            f"---\ntype: dinmo_pipeline.FtpServer\nattributes: {{name: away, host: 127.0.0.1, port: {free_port()}, tls: none}}\n"
        )

    code, seen = _interrupted_when(b"waiting, next try", "dinmo", "sync", "--all", cwd=root)

    assert code == 130
    assert "\nfirst: interrupted; what it had begun to deliver is completed by its next sync" in seen.replace("\r", ""), seen
    assert "Traceback" not in seen
    assert "Stack Trace" not in seen
    assert not (root / "out" / "second").exists()


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
