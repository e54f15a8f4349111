"""Many activations of one model that are due at one minute, under Dagster's own daemon and web server."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import AssetKey, DagsterInstance

from benchmarks.measure import Figure
from dinmo_pipeline.io_managers.warehouse import REUSED

_LEAD_S = 60
_SETTLED_S = 1
_GIVE_UP_S = 3600
_MOST_MORE_S, _MOST_ANSWER_S = 0.5, 1
_MODEL = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.Model
attributes:
  name: customers
  primary_key: [id]
  sql: "SELECT i AS id, 'Customer ' || i AS name, hash(i) % 100 AS score FROM range(100000) AS t(i)"
"""
_ACTIVATION = """\
---
type: dinmo_pipeline.Activation
attributes:
  {{name: a{number}, model: customers, destination: out, folder: a{number}, file_name: customers, format: csv,
   run_type: full_then_delta, sync_mode: upsert, mapping: [id, name, score], schedule: "{minute} {hour} * * *"}}
"""
_QUERY = {"query": "{ runsOrError(limit: 25) { ... on Runs { results { runId status startTime } } } }"}


def minute(folder: Path, activations: int) -> Iterator[Figure]:
    """How much longer than `dinmo sync --all` the last of so many files takes from the tick on, and what else that minute shows."""
    alone = _make(folder / "alone", activations, due=datetime.now(UTC))
    began = time.monotonic()
    subprocess.run([program("dinmo"), "sync", "--all"], cwd=alone, env=environment(), check=True, capture_output=True)
    together = time.monotonic() - began
    due = (datetime.now(UTC) + timedelta(seconds=_LEAD_S + activations / 20)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    root = _make(folder / "due", activations, due=due)
    with serving(root) as (_, port):
        took, answers = _watch(root, port, activations, due)
    due_at_once = f"{activations} due at one minute"
    each = f"s; {took / activations:.2f} from the tick on, {together / activations:.2f} by `dinmo sync --all`"
    yield Figure(f"{due_at_once}: more for each than its work", (took - together) / activations, each, _MOST_MORE_S, by_clock=True)
    longest = f"s; {statistics.median(answers):.2f} in the middle"
    yield Figure(f"{due_at_once}: longest answer of the UI", max(answers), longest, _MOST_ANSWER_S, by_clock=True)
    yield Figure(f"{due_at_once}: refreshes of their model", _refreshes(root), "", 1)


def _make(root: Path, activations: int, *, due: datetime) -> Path:
    (root / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    each = (_ACTIVATION.format(number=number, minute=due.minute, hour=due.hour) for number in range(activations))
    (root / "defs" / "defs.yaml").write_text(_MODEL + "".join(each), encoding="utf-8")
    return root


@contextmanager
def serving(root: Path, **variables: str) -> Iterator[tuple[int, int]]:
    """`dinmo dev` in the project, all schedules and sensors running, with these variables besides; its process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with (root / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            [program("dinmo"), "dev", "--port", str(port)],
            cwd=root,
            env=environment() | {"DINMO_AUTOSTART": "1"} | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _watch(root: Path, port: int, activations: int, due: datetime) -> tuple[float, list[float]]:
    """Seconds from the tick to the last file, and those that each answer of the UI took meanwhile."""
    answers: list[float] = []
    while True:
        now = datetime.now(UTC)
        if now > due:
            answers.append(_answer(port))
        written = [path.stat().st_mtime for path in (root / "out").glob("*/customers.csv")]
        if len(written) == activations:
            return max(written) - due.timestamp(), answers
        if now > due + timedelta(seconds=_GIVE_UP_S):
            sys.exit(f"only {len(written)} of {activations} files came:\n{(root / 'dagster.log').read_text(encoding='utf-8')[-5000:]}")
        time.sleep(_SETTLED_S)


def _answer(port: int) -> float:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", data=json.dumps(_QUERY).encode(), headers={"Content-Type": "application/json"}
    )
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=_GIVE_UP_S) as answer:
        answer.read()
    return time.monotonic() - began


def _refreshes(root: Path) -> int:
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        records = instance.fetch_materializations(AssetKey(["models", "customers"]), limit=5000).records
    made = [record.asset_materialization for record in records]
    return sum(each is not None and REUSED not in each.metadata for each in made)


def environment() -> dict[str, str]:
    """The environment of this process, without what would change how ours and Dagster behave."""
    own = ("PYTHONDONTWRITEBYTECODE", "DAGSTER_HOME")
    return {name: value for name, value in os.environ.items() if name not in own and not name.startswith("DINMO_")}


def program(name: str) -> str:
    """A command of this environment."""
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        for figure in minute(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 200):
            print(f"{figure.name}: {figure.value:.2f} {figure.unit}", flush=True)
