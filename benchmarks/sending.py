"""A full export to OpenSSH beside the slower of DuckDB's `COPY` and `sftp put`: `python -m benchmarks.sending [--rows N]`.

Then over a slow wire, beside `sftp put` of the same rows: in one file; in ten parts, which leave while the next one is rendered; and in
ten that wait until all are, since a guard looks at their bytes. The same ten, both ways, to an S3 bucket.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.measure import Line, cost_of, measure
from benchmarks.peers import Work
from benchmarks.yardsticks import sftp_put
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.syncs import Syncs
from dinmo_pipeline.warehouse.tables import refresh
from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.s3 import BUCKET, REGION, S3Server, s3

_REACH = 1.3
# Before each block of 64 kB: 30 MB a second at most.
_PAUSE_S = 0.002
_PARTS = 10
_SLOW = """\
---
type: dinmo_pipeline.SftpServer
attributes: {{name: far, host: {host}, port: {port}, username: {user}, private_key: {{file: {key}}}, host_key: {host_key}}}
---
type: dinmo_pipeline.S3Bucket
attributes:
  {{name: store, bucket: {bucket}, region: {region}, endpoint_url: "{endpoint}", access_key_id: {access_key},
   secret_access_key: {{file: s3_key}}}}
"""
_ACTIVATION = """\
---
type: dinmo_pipeline.Activation
attributes:
  {{name: {name}, model: customers, destination: {destination}, file_name: {name}, format: csv, run_type: full_only, sync_mode: snapshot,
   mapping: "*"{more}}}
"""
_numbers = count()


def main() -> None:
    """Measure both yardsticks, then ours beside each, and print the ratio to the slower one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="customers, 10 columns each")
    parser.add_argument("--runs", type=int, default=3, help="pairs of measurements")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, openssh() as server, s3() as store:
        work = Work(Path(folder), server)
        work.make(arguments.rows)
        _define_slow(work, store, arguments.rows)
        project = load_project(work.root)
        refresh(project, *project.tables.values())
        csv = work.root / "customers.csv"
        lines = (
            Line("full export to OpenSSH", "COPY to csv", _REACH, lambda: _send(project), lambda: _copy(project, csv)),
            Line("full export to OpenSSH", "sftp put", _REACH, lambda: _send(project), lambda: sftp_put(server, csv, flush=False)),
        )
        results = [measure(line, arguments.runs) for line in lines]
        over_slow_wire = _over_slow_wire(project, server, store, csv, arguments.runs)
    slower = max(results, key=lambda result: result.theirs)
    console = Console(highlight=False, width=140)
    for result in results:
        console.print(f"{result.line.yardstick}: {result.theirs:.2f} s, ours {result.ours:.2f} s")
    reached = "reached" if slower.is_reached else "not reached"
    console.print(f"{arguments.rows:,} rows to OpenSSH: {slower.wall_ratio:.2f} of {slower.line.yardstick}, to reach {_REACH}: {reached}")

    for name, seconds in over_slow_wire.items():
        console.print(f"over a slow wire, {name}: {seconds:.1f} s")


def _define_slow(work: Work, store: S3Server, rows: int) -> None:
    server, definitions = work.server, work.root / "defs" / "defs.yaml"
    values = {"host": RELAY_HOST, "port": server.port, "key": server.private_key, "host_key": server.host_key}
    owner = store.keys["owner"]
    (work.root / "s3_key").write_text(owner.secret_access_key, encoding="utf-8")
    values |= {"bucket": BUCKET, "region": REGION, "endpoint": store.url(RELAY_HOST), "access_key": owner.access_key_id}
    text = _SLOW.format(user=server.login("plain").username, **values)
    parts = f", max_rows: {-(-rows // _PARTS)}"
    judged = parts + ', fail_if: {bytes: "> 1 TB"}'
    for name, destination, more in (
        ("one", "far", ""),
        ("parts", "far", parts),
        ("judged", "far", judged),
        ("stored", "store", parts),
        ("stored_judged", "store", judged),
    ):
        text += _ACTIVATION.format(name=name, destination=destination, more=more)
    definitions.write_text(definitions.read_text(encoding="utf-8") + text, encoding="utf-8")


def _over_slow_wire(project: Project, server: OpenSsh, store: S3Server, csv: Path, runs: int) -> dict[str, float]:
    """Seconds by the clock, medians."""
    ours = {
        "one": "one file",
        "parts": f"{_PARTS} parts",
        "judged": f"{_PARTS} parts that wait for a guard",
        "stored": f"{_PARTS} parts to S3",
        "stored_judged": f"{_PARTS} parts to S3 that wait for a guard",
    }
    found: dict[str, list[float]] = {"`sftp put`": [], **{text: [] for text in ours.values()}}
    far = replace(server, host=RELAY_HOST)
    with Relay().listening([server.port, store.port]) as relay:
        relay.slow_down(_PAUSE_S)
        for _ in range(runs):
            ways = [partial(sftp_put, far, csv, flush=True), *(partial(_send, project, name) for name in ours)]
            for seconds, way in zip(found.values(), ways, strict=True):
                seconds.append(cost_of(way).wall)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _copy(project: Project, csv: Path) -> None:
    with duckdb.connect(str(project.warehouse_path), read_only=True) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY models.customers TO '{csv}'")


def _send(project: Project, name: str = "customers") -> None:
    now = datetime.now(UTC)
    Syncs(project, project.activations[name]).deliver(f"{label_of_instant(now)}-{next(_numbers)}", now=now)


if __name__ == "__main__":
    main()
