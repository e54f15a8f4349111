"""Many syncs and many imports in one process: `python -m benchmarks.soak [--syncs 1000] [--imports 1000]`.

Each fourth goes the way of `dinmo sync` and `dinmo import`: a job of Dagster's, recorded in its storage. What the process and the disk
hold is printed along the way, with a `dinmo clean` after every so many, as it is meant to be run. Ends with 1 when something grew that
must not, in the second half of the way. The log of an activation is kept for ever, so the state grows by that: it is told in kB a sync.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow

from dinmo_pipeline.cli.dagster.cleaning import clean_runs
from dinmo_pipeline.cli.dagster.running import Runner, dagster_home
from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import LoadedProject, load_with_warnings
from dinmo_pipeline.sync.service import SyncService

_CLEAN_EVERY = 50
_BY_DAGSTER = 4
_POINTS = 10
_DEFINITIONS = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.Model
attributes: {name: people, primary_key: [id], sql: "SELECT * FROM read_csv('data.csv')"}
---
type: dinmo_pipeline.LocalFolder
attributes: {name: drop, path: drop}
---
type: dinmo_pipeline.Inbox
attributes: {name: partner, storage: drop, settle_seconds: 0, poll_seconds: 5}
---
type: dinmo_pipeline.Feed
attributes: {inbox: partner, entity: contacts, source: shop, primary_key: [id], columns: {age: number}}
"""
_ACTIVATION = """\
---
type: dinmo_pipeline.Activation
attributes:
  {{name: to_{0}, model: people, destination: out, folder: "{0}", format: csv, run_type: full_then_delta, sync_mode: difference,
   file_name: "{{x}}", mapping: "*"{1}}}
"""
_ACTIVATIONS = 10


def definitions(activations: int, *, more: str = "") -> str:
    """A model, so many activations of it with `more` fields, and an inbox."""
    return _DEFINITIONS + "".join(_ACTIVATION.format(number, more) for number in range(activations))


@dataclass(frozen=True)
class Held:
    """What the process and the disk hold: memory in MB, open files, threads; temporary files; kB of Dagster's storage and of the state."""

    memory_mb: float
    open_files: int
    threads: int
    temporary: int
    dagster_kb: int
    state_kb: int


_MAY_GROW = {"memory_mb": 0.1, "dagster_kb": 0.2, "state_kb": math.inf}
"""By which share of it something may be larger at the end than before; the others that are held, by nothing."""


def main() -> None:
    """Soak, and print what is held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--syncs", type=int, default=1000)
    parser.add_argument("--imports", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tmp").mkdir()
        tempfile.tempdir = str(root / "tmp")
        loaded = _project(root)
        grown = _soak("syncs", arguments.syncs, lambda number: _sync(loaded, number), loaded)
        grown += _soak("imports", arguments.imports, lambda number: _import(loaded, number), loaded)
    for each in grown:
        print(f"GREW: {each}")
    sys.exit(1 if grown else 0)


def _project(root: Path) -> LoadedProject:
    (root / "defs").mkdir()
    (root / "drop/raw").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    (root / "defs/defs.yaml").write_text(definitions(_ACTIVATIONS), encoding="utf-8")
    return load_with_warnings(root)


def _sync(loaded: LoadedProject, number: int) -> None:
    root, name = loaded.project.root, f"to_{number // _BY_DAGSTER % _ACTIVATIONS}"
    rows = "".join(f"{key},{number if key % 10 == number % 10 else 0}\n" for key in range(1000))
    (root / "data.csv").write_text(f"id,v\n{rows}", encoding="utf-8")
    if number % _BY_DAGSTER == 0:
        with Runner(loaded) as runner:
            outcome = runner.sync(name, f"sync-{number}", full=False)
        assert outcome.problem is None, outcome.problem
    else:
        refresh(loaded.project, next(iter(loaded.project.tables.values())))
        syncs, now = SyncService(loaded.project, loaded.project.activations[name]), datetime.now(UTC)
        with syncs.turn():
            syncs.take_snapshot(f"sync-{number}", now=now)
            syncs.deliver(f"sync-{number}", now=now)
    for path in (root / "out").rglob("*.csv"):
        path.unlink()


def _import(loaded: LoadedProject, number: int) -> None:
    root = loaded.project.root
    rows = "".join(f"{key},{number % 90}\n" for key in range(1000))
    (root / f"drop/raw/contacts_shop_20240101_{number}.csv").write_text(f"id,age\n{rows}", encoding="utf-8")
    if number % _BY_DAGSTER == 0:
        with Runner(loaded) as runner:
            imported = runner.import_files("contacts_shop")
        assert imported.problem is None, imported.problem
    else:
        with InboxPass(loaded.project, "partner") as inbox:
            assert len(list(inbox.take(inbox.look().due))) == 1
    for path in (root / "drop/imports").rglob("*.csv"):
        path.unlink()


def _soak(what: str, count: int, work: Callable[[int], None], loaded: LoadedProject) -> list[str]:
    every = max(count // _POINTS, 1)
    print(f"{what:>8} " + " ".join(f"{field.name:>11}" for field in fields(Held)) + "  s each")
    along: list[Held] = []
    began = time.monotonic()
    for number in range(1, count + 1):
        work(number)
        if number % _CLEAN_EVERY == 0:
            for spec in loaded.project.activations.values():
                SyncService(loaded.project, spec).clean(dry_run=False)
            clean_runs(loaded.project, dry_run=False)
        if number % every == 0:
            along.append(_held(loaded))
            figures = " ".join(f"{getattr(along[-1], field.name):>11,.0f}" for field in fields(Held))
            print(f"{number:>8,} {figures}  {(time.monotonic() - began) / every:.2f}", flush=True)
            began = time.monotonic()
    return [f"{what}: {text}" for text in grown(along, _MAY_GROW)]


def grown(along: Sequence[Any], may_grow: Mapping[str, float]) -> list[str]:
    """Which numbers of these dataclasses are larger in the last quarter of the time than in the one before it, by more than this share.

    Of each quarter the least counts: what comes and goes with runs goes back to it.
    """
    quarter = len(along) // 4
    if not quarter:
        return []
    found = []
    for name in (field.name for field in fields(along[-1])):
        before, after = (min(getattr(held, name) for held in part) for part in (along[-2 * quarter : -quarter], along[-quarter:]))
        if after > before * (1 + may_grow.get(name, 0)):
            found.append(f"{name} from {before:,.0f} to {after:,.0f}")
    return found


def _held(loaded: LoadedProject) -> Held:
    gc.collect()
    pyarrow.default_memory_pool().release_unused()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    project = loaded.project
    return Held(
        memory_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        open_files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
        temporary=sum(1 for path in (*(project.root / "tmp").rglob("*"), *(project.home / "staging").rglob("*")) if path.is_file()),
        dagster_kb=kilobytes(dagster_home(project)),
        state_kb=kilobytes(project.home / "state"),
    )


def kilobytes(folder: Path) -> int:
    """What the files below a folder have."""
    return sum(_bytes(Path(place, name)) for place, _, names in os.walk(folder) for name in names) // 1000


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # Others work there at the same time.
        return 0


if __name__ == "__main__":
    main()
