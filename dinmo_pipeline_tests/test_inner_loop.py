"""Tests of the inner loop stay inside this process, and ask for nothing outside."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from .inner_loop import FILES, TESTS, ReachedOut


@pytest.mark.parametrize(
    "reach_out",
    [
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.create_server(("127.0.0.1", 0)),
        lambda: socket.getaddrinfo("localhost", 9),
        lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        lambda: os.system("true"),
        os.fork,
    ],
    ids=["connection", "server", "address", "process", "shell", "fork"],
)
def test_fast_test_that_reaches_out_fails(reach_out: Callable[[], object]) -> None:
    with pytest.raises(ReachedOut, match="a test of the inner loop"):
        reach_out()


def test_every_file_that_is_named_exists() -> None:
    assert [name for name in FILES if not (TESTS / name).is_file()] == []


def test_no_file_of_the_inner_loop_asks_for_servers_processes_or_dagster() -> None:
    imports = re.compile(r"^(?:from|import) (?:dagster|multiprocessing|subprocess|\S*servers)\b", re.MULTILINE)

    assert [name for name in FILES if name != "test_inner_loop.py" and imports.search((TESTS / name).read_text(encoding="utf-8"))] == []
