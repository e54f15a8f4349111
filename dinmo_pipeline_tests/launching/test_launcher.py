"""Runs that `dinmo dev` forks: its daemon launches them, its web server asks for their end, all in processes of their own."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher

from dinmo_pipeline.cli.dagster.running import dagster_home
from dinmo_pipeline.launching import ForkingRunLauncher, launcher, warm
from dinmo_pipeline.launching import warm_process as warm_process_module
from dinmo_pipeline.launching.warm_process import NoAnswer, WarmProcess
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.sync.service import SyncService

from ..dagster_ui.conftest import Server, serving
from ..people import MODEL, activation, make_people
from ..waiting import wait_for

# One server serves all tests here, so they stay in one process.
pytestmark = pytest.mark.xdist_group("launching")

_LOCATION = "dinmo_pipeline.definitions"
_PATIENCE_S = 300.0
_PAUSE_S = 1.0
_EVENTS = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message } ... on ErrorEvent { error { message errorChain { error { message } } } } } } } }"""
_RUNS = "{ runsOrError(limit: 1) { ... on Runs { results { id status } } } }"
_TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
_BROKEN = f"---\n{MODEL}".replace("people,", "broken,").replace("SELECT *", "SELECT * REPLACE (NULL AS id)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`dinmo dev` as a project of its own has it, except that its daemon looks for runs each second; two runs have been asked for."""
    root = make_people(
        tmp_path_factory.mktemp("launching") / "people", activation("sent") + activation("refused", model="broken") + _BROKEN
    )
    with (dagster_home(load_project(root)) / "dagster.yaml").open("a", encoding="utf-8") as settings:
        settings.write("run_queue: {dequeue_interval_seconds: 1}\n")
    with serving(root) as started:
        started.launch("sync_sent", "first", _LOCATION)
        started.launch("sync_refused", "refused", _LOCATION)
        yield started


def children(pid: int) -> dict[int, str]:
    """The state of each child of a process: `S` sleeps, `Z` is a zombie."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                found[int(stat.parent.name)] = state
    return found


def warm_process(server: Server) -> int:
    found = [pid for parent in children(server.pid) for pid in children(parent) if "launching.warm" in command_of(pid)]
    assert len(found) == 1, f"{len(found)} warm processes"
    return found[0]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def open_files(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


def events(server: Server, run_id: str) -> str:
    return str(server.query(_EVENTS, id=run_id)["logsForRun"]["events"])


@contextmanager
def waiting_run(server: Server, partition: str) -> Iterator[tuple[str, int]]:
    """A run that waits for its turn, until the end of the block: its id and its process."""
    project = load_project(server.root)
    with SyncService(project, project.activations["sent"]).turn():
        server.launch("sync_sent", partition, _LOCATION)

        def look() -> tuple[str, int] | None:
            (run,) = server.query(_RUNS)["runsOrError"]["results"]
            found = re.search(r"STEP_START|Started execution of step .*snapshot", events(server, run["id"]))
            pid = re.search(r"Started process for run \(pid: (\d+)\)", events(server, run["id"]))
            return (run["id"], int(pid[1])) if pid and found else None

        yield wait_for(look, "a run that waits", _PATIENCE_S)


def test_run_succeeds_in_a_fork_and_the_next_one_sees_an_edited_definition(server: Server) -> None:
    first = server.finished_run("first")
    assert first["status"] == "SUCCESS"
    (log,) = (server.root / ".dinmo" / "dagster" / "storage" / first["id"]).rglob("*.err")
    assert "STEP_SUCCESS" in log.read_text(encoding="utf-8")
    (definitions,) = (server.root / "defs").rglob("*.yaml")
    definitions.write_text(definitions.read_text(encoding="utf-8").replace("name: full name", "name: whole name"), encoding="utf-8")

    server.launch("sync_sent", "second", _LOCATION)
    assert server.finished_run("second")["status"] == "SUCCESS"

    headers = sorted(path.read_text(encoding="utf-8").splitlines()[0] for path in (server.root / "out" / "sent").iterdir())
    assert headers == ["id,full name,age", "id,whole name,age"]
    # A fork of a process with threads may wait for ever for a lock that no thread of its own holds.
    warm = warm_process(server)
    assert re.search(r"^Threads:\s*(\d+)$", Path(f"/proc/{warm}/status").read_text(), re.MULTILINE)[1] == "1"  # type: ignore[index]
    assert not [path for path in Path(f"/proc/{warm}/fd").iterdir() if ".db" in str(path.readlink())]
    wait_for(lambda: True if children(warm) == {} else None, "the end of both forks", _PATIENCE_S)


def test_warm_process_is_reached_by_its_parent_alone(server: Server) -> None:
    with waiting_run(server, "first") as (_, run):
        warm = warm_process(server)
        sockets, asked = open_files(warm), str(Path(f"/proc/{warm}/fd/0").readlink())
        assert asked.startswith("socket:[")
        # One of a pair: it has no address, in the file system or elsewhere, at which others could ask for runs.
        inode = asked.removeprefix("socket:[").removesuffix("]")
        [line] = [line.split() for line in Path(f"/proc/{warm}/net/unix").read_text().splitlines() if inode in line.split()]
        assert line[6:] == [inode]
        assert [each for each in sockets if each.startswith("socket:[")] == [asked]
        # What is forked has it not, and no secret stands in a command.
        assert asked not in open_files(run)
        assert command_of(warm).split()[1:] == ["-m", "dinmo_pipeline.launching.warm"]


def test_run_that_fails_says_why_and_leaves_no_process(server: Server) -> None:
    run = server.finished_run("refused")

    assert run["status"] == "FAILURE"
    assert "3 rows have no value in id" in events(server, run["id"])
    assert "The process of this run" not in events(server, run["id"]), "what ended in order was told as a death"
    wait_for(lambda: True if children(warm_process(server)) == {} else None, "the end of the fork", _PATIENCE_S)


def test_run_that_the_web_server_terminates_is_canceled(server: Server) -> None:
    with waiting_run(server, "unwanted") as (run_id, pid):
        assert children(warm_process(server))[pid] != "Z"
        assert server.query(_TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        run = server.finished_run("unwanted")
        wait_for(lambda: True if pid not in children(warm_process(server)) else None, "the end of the process", _PATIENCE_S)

    assert run["status"] == "CANCELED"


def test_run_whose_process_is_killed_fails_and_says_so(server: Server) -> None:
    with waiting_run(server, "killed") as (run_id, pid):
        os.kill(pid, signal.SIGKILL)
        run = server.finished_run("killed")

    assert run["status"] == "FAILURE"
    assert f"The process of this run (pid {pid}) was ended by signal 9 (Killed)" in events(server, run_id)
    wait_for(lambda: True if children(warm_process(server)) == {} else None, "the last zombie", _PATIENCE_S)


def test_run_after_the_warm_process_died_gets_a_new_one(server: Server) -> None:
    old = warm_process(server)
    os.kill(old, signal.SIGKILL)

    server.launch("sync_sent", "after a death", _LOCATION)

    assert server.finished_run("after a death")["status"] == "SUCCESS"
    assert warm_process(server) != old


def test_run_after_the_warm_process_hung_gets_a_new_one(server: Server) -> None:
    old = warm_process(server)
    os.kill(old, signal.SIGSTOP)

    server.launch("sync_sent", "after a stop", _LOCATION)

    assert server.finished_run("after a stop")["status"] == "SUCCESS"
    assert warm_process(server) != old
    assert re.search(
        "gave no answer: it was silent for 8 s; it was killed", (server.root.parent / f"{server.root.name}.log").read_text(encoding="utf-8")
    )


def test_server_that_is_stopped_lets_its_run_end(server: Server) -> None:
    # The last one here: nothing is served after it.
    with waiting_run(server, "the last") as (run_id, pid):
        warm = warm_process(server)
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(_PAUSE_S)
        assert pid in children(warm)
    wait_for(lambda: True if not Path(f"/proc/{warm}").exists() else None, "the end of the warm process", _PATIENCE_S)

    with DagsterInstance.from_config(str(server.root / ".dinmo" / "dagster")) as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_success


class _Location(SimpleNamespace):
    def get_display_metadata(self) -> dict[str, str]:
        return dict(self.shown)


HERE = {"module_name": "shop", "socket": "/tmp/s"}
ELSEWHERE = {"host": "code.internal", "port": "4000"}


def run_of(python: str, shown: dict[str, str]) -> Any:
    location = _Location(shown=shown)
    remote = SimpleNamespace(repository_origin=SimpleNamespace(code_location_origin=location))
    return SimpleNamespace(
        run_id="r", remote_job_origin=remote, job_code_origin=SimpleNamespace(repository_origin=SimpleNamespace(executable_path=python))
    )


@pytest.mark.parametrize(
    ("python", "shown", "platform"),
    [("/another/python", HERE, "linux"), (None, ELSEWHERE, "linux"), (None, HERE, "darwin")],
    ids=["another Python", "a code server of somebody else", "macOS"],
)
def test_run_that_cannot_be_forked_is_launched_by_dagster(
    python: str | None, shown: dict[str, str], platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[Any] = []
    monkeypatch.setattr(DefaultRunLauncher, "launch_run", lambda _, context: launched.append(context))
    monkeypatch.setattr(sys, "platform", platform)
    context = SimpleNamespace(dagster_run=run_of(python or sys.executable, shown))

    ForkingRunLauncher().launch_run(context)

    assert launched == [context]


def test_run_is_not_launched_when_the_warm_process_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.setattr(launcher, "_can_be_forked", lambda run: True)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        ours = ForkingRunLauncher()
        ours.register_instance(instance)

        with pytest.raises(launcher.LaunchError, match=r"starting the run: .*launch the run again"):
            ours.launch_run(SimpleNamespace(dagster_run=DagsterRun(job_name="sync_sent")))
        ours.dispose()


def warm_that(does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WarmProcess:
    """A process of ours that, in the warm one's place, begins as that one does and then `does` something else."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\nos.write(0, b'ready\\n')\n{does}\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(warm_process_module, "_ANSWER_S", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(program))
        return WarmProcess()


@pytest.mark.parametrize(
    ("does", "found"),
    [
        ("time.sleep(600)", "silent"),
        ("os.read(0, 9999); os.write(0, b'start'); time.sleep(600)", "silent"),
        ("os.read(0, 9999); sys.exit()", "ended before it answered"),
        ("os.read(0, 9999); os.kill(os.getpid(), 9)", "ended before it answered"),
    ],
    ids=["does not read", "stops in the middle of its answer", "ends", "is killed"],
)
def test_process_that_does_not_answer_is_given_up_in_time(does: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = warm_that(does, tmp_path, monkeypatch)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=found):
        process.fork("x" * 10_000_000 if "read" not in does else "a run")
    process.kill()

    assert time.monotonic() - began < 200
    assert process.has_ended


def test_second_thread_does_not_wait_for_ever_behind_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = warm_that("time.sleep(600)", tmp_path, monkeypatch)
    errors: list[str] = []

    def ask() -> None:
        with pytest.raises(NoAnswer) as error:
            process.fork("a run")
        errors.append(str(error.value))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    process.kill()

    assert len(errors) == 3


def test_end_does_not_wait_for_a_process_that_hangs_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = warm_that("time.sleep(600)", tmp_path, monkeypatch)
    monkeypatch.setattr(warm_process_module, "_END_S", 1.0)
    process.end()

    assert process.has_ended


def test_run_monitoring_is_told_of_a_run_whose_process_is_gone(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nrun_launcher: {module: dinmo_pipeline.launching, class: ForkingRunLauncher}\n", encoding="utf-8"
    )
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        (tmp_path / "running").mkdir()
        (tmp_path / "running" / "killed").touch()
        answers = [instance.run_launcher.check_run_worker_health(DagsterRun("j", run_id)) for run_id in ("killed", "elsewhere")]

        assert instance.run_launcher.supports_check_run_worker_health
        assert [answer.status.value for answer in answers] == ["FAILED", "RUNNING"]


def test_warm_process_that_cannot_fork_says_why_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    answers = ours.makefile("r", encoding="utf-8")
    full = OSError(errno.EAGAIN, "too many processes")
    monkeypatch.setattr(os, "fork", Mock(side_effect=full))
    monkeypatch.setattr(warm, "_SOCKET", theirs.fileno())
    ours.sendall(b"a run\nanother\nhalf a li")
    ours.shutdown(socket.SHUT_WR)

    with os.fdopen(os.dup(theirs.fileno()), "rb", buffering=0) as requests:
        assert warm._serve(requests, dagster=Mock()) is None

    assert [answers.readline(), answers.readline()] == [f"{full}\n"] * 2
