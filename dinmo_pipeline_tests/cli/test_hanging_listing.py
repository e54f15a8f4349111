"""An inbox on a server that never answers with its listing: all others go on meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh

from ..inbox_projects import feed
from ..people import BIN, activation, delivered, make_people
from ..servers.asyncssh_server import PlainSftp, asyncssh_server
from ..waiting import PATIENCE_S
from .conftest import Dinmo


def test_others_deliver_and_are_looked_at_while_an_import_waits_for_a_listing(dinmo: Dinmo, tmp_path: Path) -> None:
    asked = threading.Event()

    class NeverLists(PlainSftp):
        async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            asked.set()
            await asyncio.Event().wait()
            yield asyncssh.SFTPName(b"")

    with asyncssh_server(NeverLists) as server:
        storage = f"""---
type: dinmo_pipeline.SftpServer
attributes: {{name: hanging, host: {server.host}, port: {server.port}, username: partner, host_key: "{server.host_key}", \
private_key: {{file: {server.private_key}}}}}
---
type: dinmo_pipeline.Inbox
attributes: {{name: partner, storage: hanging, settle_seconds: 0}}
"""
        root = make_people(tmp_path, activation("changes") + storage + feed())
        importing = subprocess.Popen([BIN / "dinmo", "import"], cwd=root, env=own_environment(), stderr=subprocess.PIPE, text=True)
        try:
            assert asked.wait(PATIENCE_S), "the import never asked for the listing"

            synced = dinmo("sync", "changes", project=root)
            status = dinmo("status", project=root)

            assert importing.poll() is None, "the import waited for nothing"
            assert (synced.code, len(delivered(root))) == (0, 1), synced.err
            assert "changes" in status.out
            importing.send_signal(signal.SIGINT)
            _, said = importing.communicate(timeout=PATIENCE_S)
        finally:
            importing.kill()
    assert importing.returncode == 130
    assert "stopped by Ctrl-C" in said
    assert "partner" in said
    assert "Traceback" not in said


def own_environment() -> dict[str, str]:
    """The variables of this process without ours and Dagster's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
