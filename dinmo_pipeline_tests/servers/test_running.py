"""Ports for servers: nobody listens there, and no two test processes are given the same one."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from dinmo_pipeline_tests.servers import running
from dinmo_pipeline_tests.servers.running import HOST, free_port

_ASK_FOR = """\
import sys
from dinmo_pipeline_tests.servers import running
running._PORTS = range(int(sys.argv[1]), int(sys.argv[1]) + 2)
running.free_port()
"""


def test_port_that_was_given_away_is_given_to_no_other_process() -> None:
    port = free_port()
    asked = subprocess.run([sys.executable, "-c", _ASK_FOR, str(port)], capture_output=True, text=True, check=False, timeout=300)

    assert "no 1 free ports in a row were found" in asked.stderr


def test_port_that_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(running, "_PORTS", range(port, port + 2))
        with pytest.raises(pytest.fail.Exception, match="no 1 free ports"):
            free_port()
