"""A command that somebody stops, or whose output nobody takes: one sentence, soon, and the exit code that tells it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest

from dinmo_pipeline.activity import doing, forget_activities, telling, told_when_stopped
from dinmo_pipeline.cli.health import health_of
from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.sync.service import SyncService

from ..people import BIN, activation, make_people
from ..waiting import PATIENCE_S

# A query that looks at no signal for minutes: each of its pieces is a cross join.
BUSY = "SELECT count(*) FROM range(1_000_000_000) a, range(100_000_000) b WHERE (a.range * b.range) % 7 = 3"
COMMAND = """\
import sys, time
import duckdb
from dinmo_pipeline.activity import doing
from dinmo_pipeline.cli import stopping
from dinmo_pipeline.engines.duckdb.connection import interruptible
{before}
with stopping.stoppable() as stop:
    try:
        with doing("changes", stopped="its next sync completes it"), doing("refreshing models.people"), interruptible():
            print("begun", flush=True)
            {work}
    except KeyboardInterrupt:
        {after}
        print(stop.sentence, file=sys.stderr)
sys.exit(stop.code)
"""


def stopped(*signals: signal.Signals, work: str, after: str = "pass", before: str = "") -> tuple[int, str, float]:
    """The exit code, what was said, and the seconds from the first signal on; each is sent once the one before may have come."""
    text = COMMAND.format(work=work, after=after, before=before)
    process = subprocess.Popen([sys.executable, "-c", dedent(text)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(1)
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.5)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err, time.monotonic() - began


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.parametrize("work", [f'duckdb.sql("{BUSY}").fetchall()', "time.sleep(600)"], ids=["query", "pause"])
def test_one_signal_ends_the_command_soon_with_one_sentence(number: signal.Signals, code: int, word: str, work: str) -> None:
    ended, err, seconds = stopped(number, work=work)

    assert ended == code
    said = f"changes: stopped by {word} while refreshing models.people; its next sync completes it\n"
    assert err == said
    assert seconds < 60


def test_second_ctrl_c_ends_the_command_at_once() -> None:
    before = "stopping._PATIENCE_S = 600"

    ended, err, _ = stopped(signal.SIGINT, signal.SIGINT, work="time.sleep(600)", after="time.sleep(600)", before=before)

    assert ended == 130
    assert err.startswith("changes: stopped by Ctrl-C while refreshing models.people")


def test_what_is_true_after_a_stop_is_that_of_the_innermost_activity_which_says_it() -> None:
    forget_activities()
    nothing = told_when_stopped("Ctrl-C")
    with doing("changes", stopped="its next sync completes it"), doing("refreshing models.people", stopped="the table is as it was"):
        with doing("waiting for the warehouse"):
            waiting = told_when_stopped("Ctrl-C")
        refreshing = told_when_stopped("Ctrl-C")

    assert nothing == "stopped by Ctrl-C; nothing was begun"
    assert waiting == "changes: stopped by Ctrl-C while waiting for the warehouse; the table is as it was"
    assert refreshing == "changes: stopped by Ctrl-C while refreshing models.people; the table is as it was"
    assert told_when_stopped("Ctrl-C") == nothing


def test_lock_that_is_waited_for_is_told_with_its_holder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dinmo_pipeline.local_files.locks.TOLD_WAIT_S", 0.1)
    told: list[str] = []

    lock = partial(locked, tmp_path / "lock", what="the warehouse", wait_s=0.4)

    with lock(), telling(told.append), pytest.raises(BusyError, match="did not let go within"), lock():
        pytest.fail("two have it")

    [line] = told
    assert line.startswith(f"waiting for the warehouse: process {os.getpid()} on ")
    assert " has had it since 20" in line


def test_sync_that_was_cut_off_is_stopped_in_status_and_not_failed(tmp_path: Path) -> None:
    project = load_project(make_people(tmp_path, activation("changes")))
    spec = project.activations["changes"]
    refresh(project, project.tables[spec.source])
    SyncService(project, spec).take_snapshot("first", now=project.clock())

    found = health_of(spec, SyncService(project, spec).state(), None, now=project.clock())

    assert found.health == "stopped"
    assert found.advice.startswith("sync 1 was begun, and stopped before it was delivered")
    assert found.needs_somebody


def test_output_that_nobody_reads_any_more_changes_neither_the_work_nor_its_exit_code(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes"))
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([BIN / "dinmo", "sync", "changes"], cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, "")
    assert list((root / "out" / "changes").iterdir())


@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("check",)])
def test_output_that_a_full_disk_does_not_take_is_told_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    root = make_people(tmp_path, activation("changes"))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([BIN / "dinmo", *arguments], cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 1
    told = "writing to standard output: No space left on device; what was done is done, and `dinmo status` tells how things stand\n"
    assert done.stderr == told
