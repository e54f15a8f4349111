"""A project of one Parquet file and one activation a mode, small enough that a test can say what each sync must send."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import Delivery, SyncService

Person = tuple[int | None, str, int]

FIRST: tuple[Person, ...] = ((1, "Ana", 31), (2, "Bruno", 45), (3, "Chloé", 27))
# Bruno has a birthday, Chloé leaves, Dana comes.
SECOND: tuple[Person, ...] = ((1, "Ana", 31), (2, "Bruno", 46), (4, "Dana", 52))

BIN = Path(sys.executable).parent

STORAGES = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.LocalFolder
attributes: {name: elsewhere, path: elsewhere}
"""
MODEL = """\
type: dinmo_pipeline.Model
attributes: {name: people, primary_key: [id], sql: "SELECT * FROM 'people.parquet'"}
"""
DATED = '"{YYYY}-{MM}-{DD}T{HH}{mm}{ss}"'


def activation(name: str, **fields: str) -> str:
    """An activation of the model, with these fields instead of the usual ones; full_then_delta, upsert and CSV are usual."""
    usual = {
        "name": name,
        "model": "people",
        "destination": "out",
        "folder": name,
        "file_name": DATED,
        "format": "csv",
        "run_type": "full_then_delta",
        "sync_mode": "upsert",
        "mapping": "{id: id, name: full name, age: age}",
    }
    return "---\ntype: dinmo_pipeline.Activation\nattributes:\n" + "".join(
        f"  {field}: {value}\n" for field, value in {**usual, **fields}.items()
    )


A_MODE_EACH = (
    activation("everyone", run_type="full_only", sync_mode="snapshot", format="json", file_name="everyone")
    + activation("changes")
    + activation("newcomers", sync_mode="insert", format="ndjson")
    + activation("triple", sync_mode="difference")
)


def write_people(root: Path, people: Sequence[Person]) -> None:
    """Put these rows in the project's Parquet file."""
    ids, names, ages = zip(*people, strict=True) if people else ((), (), ())
    columns = [pa.array(ids, pa.int64()), pa.array(names, pa.string()), pa.array(ages, pa.int32())]
    pq.write_table(pa.table(columns, names=["id", "name", "age"]), root / "people.parquet")


def write_definitions(root: Path, activations: str, *, folder: str = "defs") -> None:
    """Write all definitions to one file in `folder`."""
    path = root / folder / "people" / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{STORAGES}---\n{MODEL}{activations}", encoding="utf-8")


def make_people(root: Path, activations: str = A_MODE_EACH, *, people: Sequence[Person] = FIRST, settings: str = "") -> Path:
    """A project that only `[tool.dinmo]`, with these settings, marks, its `defs/` at the root."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f"[tool.dinmo]\n{settings}", encoding="utf-8")
    write_definitions(root, activations)
    write_people(root, people)
    return root


def sync_people(root: Path, name: str, instant: datetime, *, full: bool = False) -> Delivery:
    """Refresh and deliver as a run does it, without Dagster: for tests of what comes after."""
    project = load_project(root)
    for table in project.tables_for(project.activations[name].source):
        refresh(project, table)
    syncs, label = SyncService(project, project.activations[name]), label_of_instant(instant)
    if syncs.spec.run_type == RunType.FULL_THEN_DELTA:
        syncs.take_snapshot(label, now=instant, full=full)
    return syncs.deliver(label, now=instant)


def delivered(root: Path, storage: str = "out") -> dict[str, list[tuple[str, ...]]]:
    """Every delivered file by its path, its rows as text and in order of the key, whatever its format; no header."""
    found = {}
    for path in sorted(file for file in (root / storage).rglob("*") if file.is_file()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            rows = [tuple(row) for row in csv.reader(text.splitlines())][1:]
        else:
            values = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
            rows = [tuple(str(value) for value in row.values()) for row in values]
        found[path.relative_to(root / storage).as_posix()] = sorted(rows)
    return found


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def run_command(*command: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> Ran:
    """Run a command of this environment in a process of its own; variables of ours and Dagster's are those of `env` alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
    path = f"{BIN}{os.pathsep}{inherited.get('PATH', '')}"
    # A plain, wide terminal: boxes and colours would hide what is compared.
    environment = {**inherited, "PATH": path, "COLUMNS": "200", "NO_COLOR": "1", **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=timeout)
    return Ran(done.returncode, done.stdout, done.stderr)
