"""What commands print: lines with tabs in a pipe, tables on a terminal, JSON for programs."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from dinmo_pipeline.cli.dagster.running import Runner
from dinmo_pipeline.cli.health import health_of
from dinmo_pipeline.project.load import load_project, load_with_warnings
from dinmo_pipeline.sync.ledger.state import State, SyncRecord

from ..people import BIN, FIRST, SECOND, activation, make_people, run_command, write_people
from .conftest import Dinmo


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two syncs of one activation, none of the other."""
    root = make_people(
        tmp_path_factory.mktemp("shown"),
        activation("changes", sync_mode="difference", schedule='"0 7 * * *"', timezone="Europe/Paris") + activation("never"),
    )
    for day, people in (("2025-04-14", FIRST), ("2025-04-15", SECOND)):
        write_people(root, people)
        with Runner(load_with_warnings(root)) as runner:
            outcome = runner.sync("changes", f"{day}T05-00-00.000Z", full=False)
        assert outcome.problem is None
    return root


def on_a_terminal(*command: str, cwd: Path) -> str:
    """What a person sees in a window of 120 columns, without colours."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm-256color"}
    with subprocess.Popen([BIN / command[0], *command[1:]], cwd=cwd, env=environment, stdin=child, stdout=child, stderr=child) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                chunk = os.read(parent, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
    os.close(parent)
    assert process.returncode == 0, seen
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())


def test_history_in_a_pipe_is_a_line_a_sync_with_tabs(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("history", "changes", project=project)

    assert done.code == 0
    header, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert header == [
        "sync", "instant", "state", "mode", "base", "rows", "added", "updated", "removed", "files", "bytes", "seconds", "why",
    ]  # fmt: skip
    assert [row[:10] for row in rows] == [
        ["1", "2025-04-14 07:00:00 CEST", "delivered", "difference", "-", "3", "3", "0", "0", "3"],
        ["2", "2025-04-15 07:00:00 CEST", "delivered", "difference", "1", "3", "1", "1", "1", "3"],
    ]
    assert all(float(row[11]) >= 0 for row in rows)
    assert [row[12] for row in rows] == ["the first sync", ""]


def test_history_lists_every_file_with_its_checksum_when_asked(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("history", "changes", "--files", project=project)

    lines = [line.split("\t") for line in done.out.splitlines()]
    files = lines[lines.index(["sync", "file", "rows", "bytes", "SHA-256"]) + 1 :]
    assert len(files) == 6
    for _, path, _, size, sha256 in files:
        content = (project / "out" / path).read_bytes()
        assert (size, sha256) == (f"{len(content):,}", hashlib.sha256(content).hexdigest())


def test_history_as_json_has_every_fact_of_a_sync(project: Path, dinmo: Dinmo) -> None:
    first, second = json.loads(dinmo("history", "changes", "--json", project=project).out)

    assert list(first) == [
        "sync", "label", "instant", "state", "reason", "run_type", "mode", "full", "base", "compared_with", "rows", "added", "updated",
        "removed", "files", "bytes", "delivered_at", "redelivered_at", "seconds", "warnings", "notes", "events",
    ]  # fmt: skip
    assert second["base"] == 1
    assert [(file["path"], file["change"], file["rows"]) for file in second["files"]] == [
        ("changes/2025-04-15T070000_added.csv", "added", 1),
        ("changes/2025-04-15T070000_updated.csv", "updated", 1),
        ("changes/2025-04-15T070000_removed.csv", "removed", 1),
    ]
    for file in second["files"]:
        assert file["bytes"] == (project / "out" / file["path"]).stat().st_size
    assert second["bytes"] == sum(file["bytes"] for file in second["files"])
    assert isinstance(second["seconds"], float)


def test_history_of_a_new_activation_says_how_to_begin(project: Path, dinmo: Dinmo) -> None:
    assert dinmo("history", "never", project=project).out == "never has never been synced: `dinmo sync never`\n"
    assert json.loads(dinmo("history", "never", "--json", project=project).out) == []


def test_status_has_a_line_an_activation(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("status", project=project)

    assert done.code == 0, "what is new needs nobody"
    header, changes, never = [line.split("\t") for line in done.out.splitlines()]
    assert header == ["activation", "health", "last delivered", "rows", "next due", "what to do"]
    assert (changes[0], changes[1], changes[3], changes[5]) == ("changes", "ok", "3", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d CES?T", changes[2])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d 07:00 CES?T", changes[4])
    assert never == ["never", "new", "-", "-", "-", "never delivered: `dinmo sync never`"]


def test_status_as_json_has_instants_and_numbers(project: Path, dinmo: Dinmo) -> None:
    changes, never = json.loads(dinmo("status", "--json", project=project).out)

    assert (changes["activation"], changes["health"], changes["last_sync"], changes["rows"]) == ("changes", "ok", 2, 3)
    assert datetime.fromisoformat(changes["next_due"]) > datetime.now(UTC) > datetime.fromisoformat(changes["last_delivered"])
    assert never == {
        "activation": "never",
        "health": "new",
        "last_sync": None,
        "last_delivered": None,
        "rows": None,
        "next_due": None,
        "advice": "never delivered: `dinmo sync never`",
        "late": None,
    }


def synced(instant: datetime, *, began: timedelta) -> State:
    """One sync that was delivered, with this instant, begun so much later."""
    sync = SyncRecord(1, "label", instant, instant + began, delivered_at=instant + began)
    return State({1: sync})


TICK = datetime(2025, 4, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "began", "now", "health"),
    [
        pytest.param(TICK, timedelta(seconds=9), TICK + timedelta(days=1, minutes=29), "ok", id="the next tick is just over"),
        pytest.param(TICK, timedelta(seconds=9), TICK + timedelta(days=1, minutes=31), "overdue", id="the next tick began nothing"),
        pytest.param(TICK + timedelta(minutes=1), timedelta(), TICK + timedelta(days=9), "ok", id="synced by hand"),
        pytest.param(TICK, timedelta(hours=1), TICK + timedelta(days=9), "ok", id="by hand, for an earlier instant"),
    ],
)
def test_status_says_when_a_schedule_has_begun_nothing(
    project: Path, instant: datetime, began: timedelta, now: datetime, health: str
) -> None:
    line = health_of(load_project(project).activations["changes"], synced(instant, began=began), None, now=now)

    assert line.health == health
    assert line.needs_somebody == (health == "overdue")
    if health == "overdue":
        assert line.advice == "no sync began at 2025-04-15 07:00 CEST: see that Dagster's daemon runs and the schedule is on"


def test_status_says_what_runs_and_what_rests(project: Path) -> None:
    spec = load_project(project).activations["changes"]
    state, now = synced(TICK, began=timedelta()), TICK + timedelta(days=9)
    running, paused = health_of(spec, state, None, now=now, running=True), health_of(replace(spec, paused=True), state, None, now=now)

    assert (running.health, paused.health) == ("running", "paused")
    assert (running.needs_somebody, paused.needs_somebody, paused.next_due) == (False, False, None)


def test_next_due_keeps_the_hour_when_the_clocks_change(project: Path) -> None:
    spec = load_project(project).activations["changes"]

    # On 30 March 2025 Paris goes from UTC+1 to UTC+2.
    due = [health_of(spec, State(), None, now=datetime(2025, 3, day, 12, tzinfo=UTC)).next_due for day in (28, 29, 30)]

    assert [moment.astimezone(UTC).isoformat() for moment in due if moment is not None] == [
        "2025-03-29T06:00:00+00:00",
        "2025-03-30T05:00:00+00:00",
        "2025-03-31T05:00:00+00:00",
    ]


def test_terminal_shows_tables_that_fit(project: Path) -> None:
    shown = on_a_terminal("dinmo", "status", cwd=project)

    lines = shown.splitlines()
    assert re.match(r"activation\s+health\s+last delivered\s+rows\s+next due\s+what to do", lines[0])
    assert "\t" not in shown
    assert max(map(len, lines)) <= 120
    assert "never delivered: `dinmo sync never`" in shown


def test_terminal_shows_progress_while_it_syncs(project: Path) -> None:
    shown = on_a_terminal("dinmo", "sync", "never", cwd=project)

    assert "0/1" in shown
    assert re.search(r"never\s+1\s+3\s+3\s+0\s+-\s+3\s+1", shown)


def test_reader_that_goes_away_ends_the_command_without_a_traceback(project: Path) -> None:
    done = run_command("sh", "-c", "dinmo history changes --json | head -1", cwd=project)

    assert done.out == "[\n"
    assert done.err == ""


def test_command_without_arguments_prints_its_help(tmp_path: Path) -> None:
    done = run_command("dinmo", cwd=tmp_path)

    assert "Tables in, files out." in done.out + done.err
    assert all(command in done.out + done.err for command in ("init", "check", "sync", "status", "history", "approve", "baseline", "dev"))


def test_characters_that_xml_forbids_are_counted_wherever_somebody_looks(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, activation("tree", format="xml", file_name="tree"), people=[(1, "A\x01na\x02", 31)])
    said = "tree/tree.xml: 2 characters that xml cannot hold were replaced by U+FFFD"

    rehearsed = dinmo("sync", "tree", "--dry-run", project=project)
    done = dinmo("sync", "tree", project=project)

    assert (rehearsed.code, done.code) == (0, 0)
    assert said in rehearsed.err
    assert said in done.err
    (sync,) = json.loads(dinmo("history", "tree", "--json", project=project).out)
    assert sync["notes"] == [said]


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = run_command("dinmo", "--version", cwd=tmp_path)

    assert (done.code, done.out) == (0, f"dinmo-pipeline {version('dinmo-pipeline')}\n")
