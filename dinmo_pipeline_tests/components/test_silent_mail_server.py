"""A mail server that accepts and never answers: nobody waits for it but the one who sends, and that one not for long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.alerts import telling
from dinmo_pipeline.alerts.standing import CLAIM, activation_standing
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.sync.telling import Teller
from dinmo_pipeline_tests.servers.mail import running_mail
from dinmo_pipeline_tests.servers.silent import SilentServer, running_silent
from dinmo_pipeline_tests.servers.web import running_web

from ..people import BIN, SECOND, activation, make_people, run_command, write_people
from .conftest import Dagster
from .test_telling import SECRET, notify, told

InDagster = Callable[[Path], Dagster]

# The command, with a patience that outlasts everything that is tried meanwhile.
SYNC = """\
import sys
from dinmo_pipeline.alerts import telling
telling.BUDGET_S = telling._TIMEOUT_S = 1500
sys.argv = ["dinmo", "sync", "changes"]
from dinmo_pipeline.cli.app import main
main()
"""
MAIL = """---
type: dinmo_pipeline.Notify
attributes: {name: mail, email: {host: 127.0.0.1, port: PORT, tls: none, from: dinmo@shop.example, to: team@shop.example}}
"""


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with running_silent() as server:
        yield server


def mail(port: int) -> str:
    return MAIL.replace("PORT", str(port))


def test_delivery_and_other_messages_do_not_wait_for_it(
    tmp_path: Path, in_dagster: InDagster, silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "BUDGET_S", 4.0)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with running_web() as web:
        monkeypatch.setenv("HOOK_TEAM", f"{web.url}/team")
        dagster = in_dagster(make_people(tmp_path, activation("changes", warn_if='{rows: "> 2"}') + mail(silent.port) + notify()))
        began = time.monotonic()
        assert dagster.run("changes", "1").success
        assert time.monotonic() - began < 60
        assert told(web) == [("changes", "warning")]
    standing = activation_standing(load_with_warnings(tmp_path).project, "changes").read()
    assert list(standing.unsent) == ["mail"]
    assert list(standing.told) == ["team"]
    assert standing.claims == {}
    assert silent.taken


def test_nobody_else_waits_while_a_message_is_sent(tmp_path: Path, silent: SilentServer) -> None:
    definitions = activation("changes", create_folder="false") + activation("others") + mail(silent.port)
    root = make_people(tmp_path, definitions)
    sending = subprocess.Popen([sys.executable, "-c", SYNC], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not silent.taken:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        began = time.monotonic()
        assert run_command("dinmo", "sync", "others", cwd=root, timeout=400).code == 0
        status = json.loads(run_command("dinmo", "status", "--json", cwd=root, timeout=400).out)
        health = {line["activation"]: line["health"] for line in status}
        assert health == {"changes": "failed", "others": "ok"}
        # Another run of the same one begins, and ends as it must; what it would tell is left to the one that sends.
        (root / "out" / "changes").mkdir(parents=True)
        write_people(root, SECOND)
        assert run_command("dinmo", "sync", "changes", cwd=root, timeout=400).code == 0
        assert sending.poll() is None, "all of that happened while the first one was still sending"
        claimed = timedelta(seconds=time.monotonic() - began) < CLAIM
        assert len(silent.taken) == 1 or not claimed, "and nobody else sent what it had claimed"
    finally:
        sending.kill()
        sending.wait()


def test_message_of_a_sender_that_was_killed_is_sent_by_the_next_look(tmp_path: Path, silent: SilentServer) -> None:
    definitions = activation("changes", create_folder="false")
    root = make_people(tmp_path, definitions + mail(silent.port))
    sending = subprocess.Popen([BIN / "dinmo", "sync", "changes"], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not silent.taken:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sending.kill()
    sending.wait()
    with running_mail() as server:
        make_people(tmp_path, definitions + mail(server.port))
        project = load_with_warnings(root).project
        for _ in range(2):
            assert Teller(project, project.activations["changes"]).ended() == ()
        (message,) = server.messages
    assert message[1]["Subject"] == "changes failed"


def test_two_looks_at_once_send_one_message(tmp_path: Path) -> None:
    with running_mail() as server:
        root = make_people(tmp_path, activation("changes", create_folder="false"))
        assert run_command("dinmo", "sync", "changes", cwd=root).code == 1
        make_people(tmp_path, activation("changes", create_folder="false") + mail(server.port))
        looks = [subprocess.Popen([BIN / "dinmo", "status"], cwd=root, env={**os.environ}, stdout=subprocess.DEVNULL) for _ in range(4)]
        for look in looks:
            look.wait(400)
        assert len(server.messages) == 1
