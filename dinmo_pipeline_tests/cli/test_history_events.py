"""`dinmo history` tells what guards and people did: blocked, approved, renamed, taken as a baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.errors import SyncBlocked
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.sync.service import SyncService

from ..people import FIRST, SECOND, activation, make_people, sync_people, write_definitions, write_people
from .conftest import Dinmo


def events(root: Path, name: str, dinmo: Dinmo) -> list[dict[str, Any]]:
    history = json.loads(dinmo("history", name, "--json", project=root).out)
    return [{"sync": sync["sync"], **event} for sync in history for event in sync["events"]]


def test_history_tells_who_did_what_and_why_in_order(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", file_name='"{x}"'))
    assert dinmo("baseline", "changes", project=root, env={"DINMO_USER": "Ana"}).code == 0
    write_people(root, ())
    with pytest.raises(SyncBlocked):
        sync_people(root, "changes", now_utc())
    project = load_project(root)
    syncs = SyncService(project, project.activations["changes"])
    approved = syncs.approve(by="Bea")
    assert syncs.deliver(approved.label, now=now_utc()).recorded
    write_definitions(root, activation("renamed", renamed_from="changes", folder="changes", file_name='"{x}"'))
    write_people(root, SECOND)
    assert sync_people(root, "renamed", now_utc()).recorded
    found = events(root, "renamed", dinmo)
    assert [(event["sync"], event["event"], event["by"]) for event in found] == [
        (1, "baseline", "Ana"),
        (2, "blocked", None),
        (2, "approved", "Bea"),
        (3, "renamed", None),
    ]
    assert found[1]["what"] == found[2]["what"] == f"models.people is empty; sync 1 delivered it with {len(FIRST)} rows"
    assert found[1]["findings"][0]["measure"] == "rows"
    assert found[3]["renamed_from"] == "changes"
    assert [event["at"] for event in found] == sorted(event["at"] for event in found)
    lines = dinmo("history", "renamed", project=root).out.splitlines()
    shown = [line.split("\t")[1:4] for line in lines[lines.index("when\tsync\twhat\tby\twhy") + 1 :]]
    assert shown == [["1", "baseline", "Ana"], ["2", "blocked", "-"], ["2", "approved", "Bea"], ["3", "renamed", "-"]]


def test_without_a_name_it_is_the_user_and_the_host(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes"))
    assert dinmo("baseline", "changes", project=root).code == 0
    (event,) = events(root, "changes", dinmo)
    assert "@" in event["by"]


def test_log_of_an_older_version_that_does_not_say_who_is_read(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes"))
    assert dinmo("baseline", "changes", project=root).code == 0
    (entry,) = (root / ".dinmo" / "state" / "activations" / "changes" / "log").glob("*.json")
    kept = json.loads(entry.read_text(encoding="utf-8"))
    del kept["entry"]["by"]
    entry.chmod(0o600)
    entry.write_text(json.dumps(kept), encoding="utf-8")
    # This machine remembers what it wrote.
    for mark in (root / ".dinmo" / "marks").rglob("*.json"):
        mark.unlink()
    (event,) = events(root, "changes", dinmo)
    assert (event["event"], event["by"]) == ("baseline", None)
