"""A table to one CSV file on OpenSSH: `dinmo sync`, Sling and dlt, each as a whole process.

Sling reads the rows from a CSV file, since it would download DuckDB to read others; dlt from DuckDB by Arrow, and packs the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.measure import Line
from benchmarks.shop import rows_query
from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh

_PEERS = Path(sys.prefix) / "peers"
_SLING = "lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"
_REACH = 1 / 5

_DEFINITIONS = """\
type: dinmo_pipeline.SftpServer
attributes: {{name: server, host: {host}, port: {port}, username: {user}, private_key: {{file: {key}}}, host_key: {host_key}}}
---
type: dinmo_pipeline.Model
attributes: {{name: customers, primary_key: [id], sql: "SELECT * FROM read_parquet('customers.parquet')"}}
---
type: dinmo_pipeline.Activation
attributes:
  {{name: customers, model: customers, destination: server, file_name: ours, format: csv, run_type: full_only, sync_mode: snapshot,
   mapping: "*"}}
"""


@dataclass(frozen=True)
class Work:
    """The same rows in `root` as each takes them, and the server that they go to."""

    root: Path
    server: OpenSsh

    def make(self, rows: int) -> None:
        account = self.server.login("plain")
        definitions = self.root / "defs" / "defs.yaml"
        definitions.parent.mkdir()
        (self.root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
        values = {"host": self.server.host, "port": self.server.port, "key": self.server.private_key, "host_key": self.server.host_key}
        definitions.write_text(_DEFINITIONS.format(user=account.username, **values), encoding="utf-8")
        with duckdb.connect(self.root / "customers.duckdb") as connection:
            connection.execute(f"CREATE TABLE customers AS {rows_query(rows)}")
            for ending in ("parquet", "csv"):
                connection.execute(f"COPY customers TO '{self.root / 'customers'}.{ending}'")

    def ours(self) -> None:
        self._run([Path(sys.prefix) / "bin" / "dinmo", "sync", "customers"])

    def sling(self) -> None:
        account = self.server.login("plain")
        server = {"type": "sftp", "host": self.server.host, "port": self.server.port, "user": account.username}
        server["private_key"] = str(self.server.private_key)
        [program] = _PEERS.glob(_SLING)
        words = ["--src-stream", f"file://{self.root}/customers.csv", "--tgt-conn", "SERVER", "--tgt-object", f"{account.start}/sling.csv"]
        self._run([program, "run", *words], {"SERVER": json.dumps(server), "SLING_DISABLE_TELEMETRY": "TRUE"})

    def dlt(self) -> None:
        account = self.server.login("plain")
        program = Path(__file__).with_name("dlt_peer.py")
        place = (self.server.host, str(self.server.port), account.username, str(self.server.private_key), f"{account.start}/dlt")
        command: list[Path | str] = [_PEERS / "bin" / "python", program, self.root / "customers.duckdb", *place]
        self._run(command, {"RUNTIME__DLTHUB_TELEMETRY": "false"})

    def _run(self, command: list[Path | str], more: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(command, cwd=self.root, env={**os.environ, **(more or {})}, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def peer_lines(folder: Path, rows: int) -> Iterator[Line]:
    """So many customers to OpenSSH, as whole processes: ours beside each peer."""
    with openssh() as server:
        work = Work(folder, server)
        work.make(rows)
        for peer, theirs in (("Sling", work.sling), ("dlt", work.dlt)):
            yield Line(f"{rows:,} rows to OpenSSH, beside {peer}", peer, _REACH, work.ours, theirs)
