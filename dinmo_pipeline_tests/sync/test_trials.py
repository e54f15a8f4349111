"""Deliveries that move no base, killed in their middle: the next one to that place takes away what they left."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline.sync.deliver.redirect import target_elsewhere
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, Disk, forking
from dinmo_pipeline_tests.waiting import wait_for_end

ELSEWHERE = """
---
type: dinmo_pipeline.LocalFolder
attributes: {name: elsewhere, path: elsewhere}
"""


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(tmp_path / "project", DIFFERENCE)
    made.set_rows({1: "a", 2: "b"})
    definitions = made.root / "defs" / "defs.yaml"
    definitions.write_text(definitions.read_text() + ELSEWHERE)
    made.refresh()
    return made


def send_trial(root: Path, now: datetime, to: str | None) -> None:
    project = load_project(root)
    spec = project.activations["export"]
    if to is None:
        target = Target(project.storages["out"], recorded=False, limit=1)
    else:
        target = target_elsewhere(project, spec, to, asked_by="--to")
    SyncService(project, spec).rehearse(instant=now, target=target, send=True)


def send_trial_and_die(root: Path, now: datetime, to: str | None) -> None:
    put = LocalFolder.put

    def put_and_die(self: LocalFolder, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        put(self, local_path, remote_path, sha256=sha256)
        os.kill(os.getpid(), signal.SIGKILL)

    LocalFolder.put = put_and_die  # type: ignore[method-assign]
    send_trial(root, now, to)


def temporary(disk: Disk) -> list[str]:
    return sorted(path.relative_to(disk.root).parts[0] for path in disk.root.rglob(".dinmo-*"))


@pytest.mark.parametrize(
    ("to", "options"), [(None, ""), ("elsewhere", ""), ("elsewhere", ", max_rows: 1")], ids=["limit", "to", "amid its parts"]
)
def test_what_a_killed_trial_left_goes_with_the_next_one_to_that_place(disk: Disk, to: str | None, options: str) -> None:
    definitions = disk.root / "defs" / "defs.yaml"
    definitions.write_text(definitions.read_text().replace(DIFFERENCE, DIFFERENCE + options))
    place = to or "out"
    for expected in (1, 2):
        killed = forking().Process(target=send_trial_and_die, args=(disk.root, disk.tick(), to))
        killed.start()
        wait_for_end(killed)
        assert killed.exitcode == -signal.SIGKILL
        assert temporary(disk) == [place] * expected

    send_trial(disk.root, disk.tick(), None if to else "elsewhere")
    assert temporary(disk) == [place] * 2, "another place's"
    send_trial(disk.root, disk.tick(), to)
    assert temporary(disk) == []
    assert not list((disk.home / "trials").rglob("*.jsonl"))
    assert disk.syncs().state().syncs == {}
