"""A full export to OpenSSH beside the slower of DuckDB's `COPY` and `sftp put`: `python -m benchmarks.sending [--rows N]`."""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.measure import Line, measure
from benchmarks.peers import Work
from benchmarks.yardsticks import sftp_put
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.syncs import Syncs
from dinmo_pipeline.warehouse.tables import refresh
from dinmo_pipeline_tests.servers.openssh import openssh

_REACH = 1.3
_numbers = count()


def main() -> None:
    """Measure both yardsticks, then ours beside each, and print the ratio to the slower one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="customers, 10 columns each")
    parser.add_argument("--runs", type=int, default=3, help="pairs of measurements")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, openssh() as server:
        work = Work(Path(folder), server)
        work.make(arguments.rows)
        project = load_project(work.root)
        refresh(project, *project.tables.values())
        csv = work.root / "customers.csv"
        lines = (
            Line("full export to OpenSSH", "COPY to csv", _REACH, lambda: _send(project), lambda: _copy(project, csv)),
            Line("full export to OpenSSH", "sftp put", _REACH, lambda: _send(project), lambda: sftp_put(server, csv, flush=False)),
        )
        results = [measure(line, arguments.runs) for line in lines]
    slower = max(results, key=lambda result: result.theirs)
    console = Console(highlight=False, width=140)
    for result in results:
        console.print(f"{result.line.yardstick}: {result.theirs:.2f} s, ours {result.ours:.2f} s")
    reached = "reached" if slower.is_reached else "not reached"
    console.print(f"{arguments.rows:,} rows to OpenSSH: {slower.wall_ratio:.2f} of {slower.line.yardstick}, to reach {_REACH}: {reached}")


def _copy(project: Project, csv: Path) -> None:
    with duckdb.connect(str(project.warehouse_path), read_only=True) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY models.customers TO '{csv}'")


def _send(project: Project) -> None:
    now = datetime.now(UTC)
    Syncs(project, project.activations["customers"]).deliver(f"{label_of_instant(now)}-{next(_numbers)}", now=now)


if __name__ == "__main__":
    main()
