"""A run that is killed at any moment leaves the old file or the new one, and the next run leaves nothing of it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ASSET = """
import sys
import dagster as dg
from dinmo_pipeline.resources import FileIOManager, LocalFolder

@dg.asset(io_manager_key="files")
def numbers() -> str:
    return f"SELECT {sys.argv[1]} AS run, range AS n, repeat('x', 200) AS text FROM range(150000)"

files = FileIOManager(storage=LocalFolder(path="out"), format={"type": "csv"})
print("ready", flush=True)
with dg.DagsterInstance.get() as instance:
    dg.materialize([numbers], resources={"files": files}, instance=instance)
"""
KILLS = 6


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("home", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "assets.py").write_text(ASSET)
    return tmp_path


def start(project: Path, run: int) -> subprocess.Popen[str]:
    """A run of the asset in a process of its own, up to where it has loaded its code."""
    environment = {**os.environ, "DAGSTER_HOME": str(project / "home"), "TMPDIR": str(project / "scratch")}
    process = subprocess.Popen(
        [sys.executable, "assets.py", str(run)],
        cwd=project,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def written(project: Path) -> str:
    return hashlib.sha256((project / "out" / "numbers.csv").read_bytes()).hexdigest()


def expected(run: int) -> str:
    lines = "".join(f"{run},{number},{'x' * 200}\n" for number in range(150000))
    return hashlib.sha256(f"run,n,text\n{lines}".encode()).hexdigest()


def test_killed_run_leaves_the_old_file_or_the_new_one(project: Path) -> None:
    process = start(project, 0)
    began = time.monotonic()
    assert process.wait() == 0
    seconds = time.monotonic() - began
    assert written(project) == expected(0)

    seen = set()
    current = 0
    for run in range(1, KILLS + 1):
        process = start(project, run)
        time.sleep(seconds * run / (KILLS + 1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = written(project)
        seen.add(now in (expected(current), expected(run)))
        current = run if now == expected(run) else current
    assert seen == {True}

    assert start(project, KILLS + 1).wait() == 0

    assert written(project) == expected(KILLS + 1)
    assert [path.name for path in (project / "out").iterdir()] == ["numbers.csv"]
    [scratch] = (project / "scratch").glob("dinmo-*")
    assert list(scratch.iterdir()) == []
