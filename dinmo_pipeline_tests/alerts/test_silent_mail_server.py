"""A mail server that accepts and never answers: nobody waits for it but the one who sends, and that one not for long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.alerts import notifier as telling
from dinmo_pipeline.alerts.alert_state import CLAIM, activation_alert_state
from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.servers.mail import running_mail
from dinmo_pipeline_tests.servers.silent import SilentServer, running_silent

from ..people import FIRST, SECOND, activation, make_people, run_command, sync_people, write_people

# An attempt that failed, told with a patience that outlasts everything that is tried meanwhile.
FAILED = """\
import sys
from pathlib import Path
from dinmo_pipeline.alerts import notifier
from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
notifier.BUDGET_S = notifier._TIMEOUT_S = 1500
project = load_project(Path(sys.argv[1]))
print(ActivationNotifier(project, project.activations["changes"]).failed(PermanentStorageError("the folder is missing")))
"""
MAIL = """---
type: dinmo_pipeline.Notify
attributes: {name: NAME, email: {host: 127.0.0.1, port: PORT, tls: none, from: dinmo@shop.example, to: team@shop.example}}
"""
LONG_S = 300


def mail(port: int, name: str = "mail") -> str:
    return MAIL.replace("PORT", str(port)).replace("NAME", name)


def notifier_of(root: Path) -> ActivationNotifier:
    project = load_project(root)
    return ActivationNotifier(project, project.activations["changes"])


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def sending(root: Path, server: SilentServer) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is in the middle of sending a message to that server."""
    process = subprocess.Popen([sys.executable, "-c", FAILED, root], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: server.taken)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with running_silent() as server:
        yield server


def test_other_messages_arrive_and_the_sender_gives_up_in_time(
    tmp_path: Path, silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "BUDGET_S", 4.0)
    with running_mail() as server:
        root = make_people(tmp_path, activation("changes") + mail(silent.port) + mail(server.port, "other"))
        began = time.monotonic()
        (unsent,) = notifier_of(root).failed(PermanentStorageError("the folder is missing"))
        assert 3 < time.monotonic() - began < 240
        assert unsent.startswith("mail was not told: ")
        assert [message["Subject"] for _, message in server.messages] == ["changes failed"]
    alert_state = activation_alert_state(load_project(root), "changes").read()
    assert (list(alert_state.unsent), list(alert_state.told), alert_state.claims) == (["mail"], ["other"], {})


def test_nobody_else_waits_while_a_message_is_sent(tmp_path: Path, silent: SilentServer) -> None:
    root = make_people(tmp_path, activation("changes") + activation("others") + mail(silent.port))
    with sending(root, silent) as process:
        began = time.monotonic()
        for name, people in (("others", FIRST), ("changes", SECOND)):
            write_people(root, people)
            project = load_project(root)
            with SyncService(project, project.activations[name]).turn(wait_s=0):
                assert sync_people(root, name, datetime.now(UTC)).recorded
            assert ActivationNotifier(project, project.activations[name]).ended() == ()
        status = run_command("dinmo", "status", "--json", cwd=root, timeout=LONG_S)
        assert {line["activation"]: line["health"] for line in json.loads(status.out)} == {"changes": "ok", "others": "ok"}
        assert process.poll() is None, "all of that happened while the first one was still sending"
        if timedelta(seconds=time.monotonic() - began) < CLAIM:
            assert len(silent.taken) == 1, "and nobody else sent what it had claimed"


def test_message_of_a_sender_that_was_killed_is_sent_by_the_next_look(tmp_path: Path, silent: SilentServer) -> None:
    root = make_people(tmp_path, activation("changes") + mail(silent.port))
    with sending(root, silent):
        pass
    with running_mail() as server:
        make_people(tmp_path, activation("changes") + mail(server.port))
        for _ in range(2):
            assert notifier_of(root).ended() == ()
        ((_, message),) = server.messages
    assert message["Subject"] == "changes failed"


def test_what_changes_while_a_message_is_sent_is_told_by_its_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_mail() as server:
        root = make_people(tmp_path, activation("changes") + mail(server.port))
        send = telling._send_all
        delivered: list[object] = []

        def deliver_meanwhile(*arguments: object) -> None:
            if not delivered:
                delivered.append(sync_people(root, "changes", datetime.now(UTC)))
                assert notifier_of(root).ended() == ()
                assert server.messages == [], "it was left to the one that sends"
            send(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(telling, "_send_all", deliver_meanwhile)
        assert notifier_of(root).failed(PermanentStorageError("the folder is missing")) == ()
        assert [message["Subject"] for _, message in server.messages] == ["changes failed", "changes is delivered again"]


def test_looks_at_once_send_one_message(tmp_path: Path) -> None:
    with running_mail() as server:
        root = make_people(tmp_path, activation("changes"))
        notifier_of(root).failed(PermanentStorageError("the folder is missing"))
        make_people(tmp_path, activation("changes") + mail(server.port))
        scan_state = [subprocess.Popen([sys.executable, "-c", FAILED, root], stdout=subprocess.DEVNULL) for _ in range(4)]
        for look in scan_state:
            assert look.wait(LONG_S) == 0
        assert len(server.messages) == 1
