"""Projects on disk with DuckDB and a local folder."""

from __future__ import annotations

import multiprocessing
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project, RunType
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import Completed, Delivery, SyncService
from dinmo_pipeline_tests.sync.readers import read_rows

START = datetime(2025, 4, 14, 7, tzinfo=UTC)

DEFINITIONS = """\
type: dinmo_pipeline.LocalFolder
attributes: {{name: out, path: out}}
---
type: dinmo_pipeline.Model
attributes:
  name: people
  primary_key: [id]
  sql: "SELECT * FROM read_csv('data.csv', header = true, columns = {{id: 'INTEGER', v: 'VARCHAR'}})"
---
type: dinmo_pipeline.Activation
attributes: {{name: export, model: people, destination: out, format: csv, run_type: full_then_delta, {options}}}
"""
DIFFERENCE = 'file_name: "{x}_e", sync_mode: difference, mapping: {id: id, v: value}'


@dataclass
class Disk:
    """A project in `root` whose source is `data.csv`; every run is an hour after the last one."""

    root: Path
    options: str = DIFFERENCE
    runs: int = 0
    copy: dict[str, dict[str, Any]] = field(default_factory=dict)
    inserted: list[str] = field(default_factory=list)
    read: set[tuple[str, bytes]] = field(default_factory=set)

    def __post_init__(self) -> None:
        (self.root / "defs").mkdir(parents=True, exist_ok=True)
        (self.root / "pyproject.toml").write_text("[tool.dinmo]\n")
        self.define(self.options)

    def define(self, options: str) -> None:
        """Write the definition of the activation."""
        self.options = options
        (self.root / "defs/defs.yaml").write_text(DEFINITIONS.format(options=options))

    def set_rows(self, rows: dict[int, str]) -> None:
        """The source has exactly these rows."""
        lines = [f"{key},{value}" for key, value in rows.items()]
        (self.root / "data.csv").write_text("\n".join(["id,v", *lines]) + "\n")

    @property
    def project(self) -> Project:
        return load_project(self.root)

    @property
    def home(self) -> Path:
        return self.root / ".dinmo"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def syncs(self) -> SyncService:
        project = self.project
        return SyncService(project, project.activations["export"])

    def refresh(self) -> None:
        """Make the model's table anew."""
        project = self.project
        for table in project.tables.values():
            refresh(project, table)

    def tick(self) -> datetime:
        self.runs += 1
        return START + timedelta(hours=self.runs)

    def run(self, *, full: bool = False) -> Completed | Delivery:
        """What one launch of the job does; the completed sync when the run ends with that."""
        return run(self.root, self.tick(), full=full)

    def files(self) -> list[Path]:
        """All that lies at the destination."""
        return sorted(path for path in self.out.rglob("*") if path.is_file())

    def consume(self, *, take_away: bool = False) -> None:
        """Apply what is new at the destination: older syncs first, and added before updated before removed."""
        order = {"added": 0, "updated": 1, "removed": 2}
        names = [path for path in self.files() if not path.name.startswith(".")]
        for path in sorted(
            names, key=lambda path: (path.stat().st_mtime_ns, path.name.split("_")[0], order.get(path.stem.split("_")[-1], 0))
        ):
            content = path.read_bytes()
            if (path.name, content) in self.read:
                continue
            self.read.add((path.name, content))
            for row in read_rows(path, path.suffix[1:]):
                key = str(row["id"])
                if change_of(path) == "removed":
                    self.copy.pop(key, None)
                else:
                    self.copy[key] = row
                    self.inserted.append(key)
            if take_away:
                path.unlink()

    def left_behind(self) -> list[Path]:
        """Temporary files, wherever they are."""
        staging = self.home / "staging"
        drafts = [*self.out.rglob(".dinmo-*"), *(self.home / "state").rglob("*.draft")]
        return [*drafts, *(path for path in staging.rglob("*") if path.is_file())]


def forking() -> ForkServerContext:
    """Processes that have everything imported already, and share no thread with this one."""
    context = multiprocessing.get_context("forkserver")
    # There is one server of forks a process, and its first user decides: this is what the tests' own modules import.
    context.set_forkserver_preload(["dinmo_pipeline_tests.sync.remote_states"])
    # They have the variables of the moment when the first one was asked for, which may be a test's own.
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DINMO_STATE")]:
            patch.delenv(name)
        ensure_running()
    return context


def change_of(path: Path) -> str:
    """What the name says of the rows."""
    found = re.search(r"_(added|updated|removed)(_\d+)?$", path.stem)
    return found[1] if found else ""


def run(root: Path, now: datetime, *, full: bool = False) -> Completed | Delivery:
    """Refresh, roll forward, keep the rows, deliver."""
    project = load_project(root)
    for table in project.tables.values():
        refresh(project, table)
    syncs = SyncService(project, project.activations["export"])
    completed = syncs.roll_forward(full=full)
    if completed is not None and completed.ends_run:
        return completed
    label = label_of_instant(now)
    if syncs.spec.run_type == RunType.FULL_THEN_DELTA:
        syncs.take_snapshot(label, now=now, full=full)
    return syncs.deliver(label, now=now)
