"""Locks have deadlines, say who holds them, and end with their holder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.sync.backends.local import LocalBackend
from dinmo_pipeline.sync.backends.run_queue import turn

HOLD = """\
import sys, time
from pathlib import Path
from dinmo_pipeline.local_files.locks import locked
sys.argv = ["/usr/bin/dinmo", "sync", "who@customer.example"]
with locked(Path({path!r}), what="it", wait_s=0, shared={shared}):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def another_process_holds(path: Path, *, shared: bool = False) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(path=str(path), shared=shared)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("shared", [False, True])
def test_lock_that_is_held_says_by_whom_and_since_when(tmp_path: Path, *, shared: bool) -> None:
    with another_process_holds(tmp_path / "lock", shared=shared) as holder:
        began = time.monotonic()
        with (
            pytest.raises(
                BusyError, match=rf"waiting for the thing: process {holder.pid} on \S+ \(dinmo sync\) has had it since 20"
            ) as busy,
            locked(tmp_path / "lock", what="the thing", wait_s=0.3),
        ):
            pass
    assert 0.3 <= time.monotonic() - began < 200
    assert "customer" not in str(busy.value)


def test_text_of_a_holder_that_was_killed_is_harmless(tmp_path: Path) -> None:
    with another_process_holds(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock", what="it", wait_s=0):
        assert str(os.getpid()) in (tmp_path / "lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "{", "[]", "1\n", '{"pid": "x"}', "\udcff" * 3])
def test_lock_whose_text_says_nothing_is_held_by_another_process(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock"
    with locked(path, what="it", wait_s=0):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(BusyError, match="waiting for it: another process has it"), locked(path, what="it", wait_s=0):
            pass


def test_link_that_is_planted_as_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "lock").symlink_to("victim")
    with pytest.raises(OSError, match="symbolic link"), locked(tmp_path / "lock", what="it", wait_s=0):
        pass
    assert (tmp_path / "victim").read_text() == "keep"


def test_every_lock_of_an_activation_says_who_holds_it(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    with (
        backend.locked("changes", 0),
        pytest.raises(BusyError, match=rf"activation changes: process {os.getpid()} on"),
        backend.locked("changes", 0.1),
    ):
        pass
    with (
        turn(backend, "changes", wait_s=0),
        pytest.raises(BusyError, match=rf"activation changes, its lock 'turn',: process {os.getpid()} on"),
        turn(backend, "changes", wait_s=0.1),
    ):
        pass
