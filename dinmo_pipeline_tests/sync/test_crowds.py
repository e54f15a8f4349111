"""Imports and many activations on one warehouse at once, each in a process of its own: all arrives, and whoever waits is told for what."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb import connection as connections
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.inbox_projects import INBOX, feed
from dinmo_pipeline_tests.random_cases import CASES
from dinmo_pipeline_tests.sync.disk import START, forking
from dinmo_pipeline_tests.sync.readers import read_rows
from dinmo_pipeline_tests.waiting import wait_for_end

ACTIVATIONS, SYNCS, FILES = int(4 * CASES), 2, 5

MODEL = """\
---
type: dinmo_pipeline.Model
attributes: {name: people, primary_key: [id], sql: "SELECT id, age FROM feeds.contacts_shop"}
"""
ACTIVATION = """\
---
type: dinmo_pipeline.Activation
attributes: {{name: to_{0}, model: people, destination: drop, folder: exports/{0}, file_name: "{{x}}", format: ndjson,
  run_type: full_then_delta, sync_mode: difference, mapping: [id, age]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One file is imported; all activations take from it."""
    (tmp_path / "defs").mkdir()
    (tmp_path / "drop/raw").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.dinmo]\n")
    (tmp_path / "defs/defs.yaml").write_text(INBOX + feed(load="append") + MODEL + "".join(map(ACTIVATION.format, range(ACTIVATIONS))))
    import_one(tmp_path, 0)
    return load_project(tmp_path)


def import_one(root: Path, number: int) -> None:
    (root / f"drop/raw/contacts_shop_20240501_{number}.csv").write_text(f"id,age\n{number},{number % 90}\n")
    with InboxPass(load_project(root), "partner") as inbox:
        assert len(list(inbox.take(inbox.look().due))) == 1


def import_many(root: Path) -> None:
    for number in range(1, FILES + 1):
        import_one(root, number)
    (root / "imported").touch()


def sync_many(root: Path, name: str, first: int) -> None:
    project = load_project(root)
    longest = 0.0
    for number in range(first, first + SYNCS):
        began = time.monotonic()
        refresh(project, next(iter(project.tables.values())))
        longest = max(longest, time.monotonic() - began)
        now = START + timedelta(hours=number)
        syncs = SyncService(project, project.activations[name])
        syncs.take_snapshot(label_of_instant(now), now=now)
        syncs.deliver(label_of_instant(now), now=now)
    (root / f"{name}.json").write_text(json.dumps(longest))


def consumed(folder: Path) -> dict[object, object]:
    copy: dict[object, object] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.split("_")[0], ["added", "updated", "removed"].index(path.stem[14:]))):
        for row in read_rows(path, "ndjson"):
            if path.stem.endswith("removed"):
                del copy[row["id"]]
            else:
                copy[row["id"]] = row["age"]
    return copy


def test_syncs_of_many_activations_during_imports_all_end_right(project: Project) -> None:
    root = project.root
    working = [forking().Process(target=import_many, args=(root,))]
    working += [forking().Process(target=sync_many, args=(root, name, 0)) for name in project.activations]
    for process in working:
        process.start()
    for process in working:
        wait_for_end(process)
    assert [process.exitcode for process in working] == [0] * len(working)
    for name in project.activations:
        sync_many(root, name, SYNCS)

    with duckdb.connect(str(project.warehouse_path), read_only=True) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM models.people").fetchall() == [(FILES + 1, FILES + 1)]
    for number in range(ACTIVATIONS):
        assert len(consumed(root / f"drop/exports/{number}")) == FILES + 1
    assert max(json.loads((root / f"{name}.json").read_text()) for name in project.activations) < 120


def test_warehouse_that_another_process_has_is_waited_for_and_then_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_WAIT_S", 0.2)
    with (
        open_warehouse(project.warehouse_path, project.query_settings),
        pytest.raises(
            BusyError, match=r"waiting for the warehouse .*: process \d+ on .* has had it since .*; nothing was begun, start this again"
        ),
    ):
        refresh(project, next(iter(project.tables.values())))


def test_inbox_that_another_process_has_is_waited_for_and_then_told(project: Project) -> None:
    with (
        InboxPass(project, "partner"),
        pytest.raises(BusyError, match=rf"waiting for inbox partner: process {os.getpid()} on .* has had it since .*; nothing was begun"),
        InboxPass(project, "partner", wait_s=0.2),
    ):
        raise AssertionError("it was let in")
