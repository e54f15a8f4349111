"""Send one large file to each real server, ours and others' in turn: `python -m benchmarks.destinations [--megabytes N]`.

Each run has a server of its own, because some slow down with each file, and begins with another way to send; each sending has a process of
its own. A ratio above 1 says that ours is faster; it is the median over the runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import yardsticks
from benchmarks.measure import memory_mb
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.openssh import openssh
from dinmo_pipeline_tests.servers.running import HOST
from dinmo_pipeline_tests.servers.vsftpd import vsftpd
from dinmo_pipeline_tests.storages.definitions import ftp_spec, sftp_spec

Send = Callable[[Path], None]
_OURS = "ours"
_REACH, _MEMORY_MB = 0.9, 300


@dataclass(frozen=True)
class Way:
    """One way to send, ours or a rival's; `needs` is the program that it takes."""

    name: str
    send: Send
    needs: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether this machine has it."""
        return self.needs is None or shutil.which(self.needs) is not None


@dataclass(frozen=True)
class Measured:
    """Seconds, and the most memory that the process took above what it had before, in megabytes."""

    seconds: float
    memory_mb: float


def main() -> None:
    """Measure each destination and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.destinations", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="the size of the file")
    parser.add_argument("--runs", type=int, default=5, help="measurements of each")
    parser.add_argument("--only", nargs="*", choices=list(_PLACES), default=list(_PLACES), help="these destinations alone")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=140)
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=f"{arguments.megabytes:,} MB, {arguments.runs} runs", title_justify="left"
    )
    for column in ("to", "compared with", "ours s", "theirs s", "ratio", "ours MB", "theirs MB", ""):
        table.add_column(column, justify="left" if column in ("to", "compared with", "") else "right")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        local_path = root / "file"
        with local_path.open("wb") as stream:
            for _ in range(arguments.megabytes):
                stream.write(os.urandom(1_000_000))
        sha256 = sha256_of(local_path)
        for name in arguments.only:
            runs = []
            for number in range(arguments.runs):
                with _PLACES[name](root) as (spec, rivals):
                    ways = [Way(_OURS, partial(_ours, spec, root, sha256)), *(rival for rival in rivals if rival.is_here)]
                    runs.append(_run(ways, local_path, first=number % len(ways)))
            _compare(table, name, ways[1:], runs)
    console.print(table)


def _run(ways: list[Way], local_path: Path, *, first: int) -> dict[str, Measured]:
    return {way.name: _measure(way.send, local_path) for way in ways[first:] + ways[:first]}


def _compare(table: Table, place: str, rivals: list[Way], runs: list[dict[str, Measured]]) -> None:
    our_seconds, our_memory = statistics.median(run[_OURS].seconds for run in runs), max(run[_OURS].memory_mb for run in runs)
    for rival in rivals:
        ratio = statistics.median(run[rival.name].seconds / run[_OURS].seconds for run in runs)
        table.add_row(
            place,
            rival.name,
            f"{our_seconds:.2f}",
            f"{statistics.median(run[rival.name].seconds for run in runs):.2f}",
            f"{ratio:.2f}",
            f"{our_memory:.0f}",
            "" if rival.needs else f"{max(run[rival.name].memory_mb for run in runs):.0f}",
            "reached" if ratio >= _REACH and our_memory <= _MEMORY_MB else "not reached",
        )


def _measure(send: Send, local_path: Path) -> Measured:
    processes = multiprocessing.get_context("forkserver")
    # Else each one would import everything anew.
    processes.set_forkserver_preload(["benchmarks.yardsticks", "dinmo_pipeline_tests.storages.definitions"])
    here, there = processes.Pipe()
    # Else the disk would write what the sending before has left while this one is measured.
    os.sync()
    process = processes.Process(target=_measured, args=(send, local_path, there))
    process.start()
    there.close()
    try:
        measured: Measured = here.recv()
    finally:
        process.join()
    return measured


def _measured(send: Send, local_path: Path, answer: Connection) -> None:
    before, began = memory_mb("VmRSS"), time.perf_counter()
    send(local_path)
    answer.send(Measured(time.perf_counter() - began, memory_mb("VmHWM") - before))


def _ours(spec: StorageSpec, root: Path, sha256: str, local_path: Path) -> None:
    with spec.connect(root) as storage:
        storage.put(local_path, yardsticks.NAME, sha256=sha256)


@contextmanager
def _sftp(_root: Path) -> Iterator[tuple[StorageSpec, list[Way]]]:
    with openssh() as server:
        yield (
            sftp_spec(server, server.login("plain")),
            [
                Way("sftp put", partial(yardsticks.sftp_put, server, flush=False), "sftp"),
                Way("sftp put -f", partial(yardsticks.sftp_put, server, flush=True), "sftp"),
                Way("rclone", partial(yardsticks.rclone_sftp, server), "rclone"),
            ],
        )


@contextmanager
def _ftps(root: Path) -> Iterator[tuple[StorageSpec, list[Way]]]:
    with vsftpd("explicit") as server:
        yield (
            ftp_spec(server, server.login, root, tls="explicit"),
            [
                Way("curl", partial(yardsticks.curl_ftps, server), "curl"),
                Way("lftp", partial(yardsticks.lftp_ftps, server), "lftp"),
            ],
        )


@contextmanager
def _azure(root: Path) -> Iterator[tuple[StorageSpec, list[Way]]]:
    with azurite.azurite() as server:
        (root / "key").write_text(server.key, encoding="utf-8")
        fields = {"name": "a", "container": azurite.CONTAINER, "account_key": {"file": "key"}, "account_url": server.url()}
        yield (
            AzureContainerSpec.model_validate(fields),
            [
                Way("azure-storage-blob", partial(yardsticks.azure_library, server, checked=False)),
                Way("the same, checked", partial(yardsticks.azure_library, server, checked=True)),
            ],
        )


@contextmanager
def _gcs(root: Path) -> Iterator[tuple[StorageSpec, list[Way]]]:
    with gcs.token_server() as tokens, gcs.gcs(chunks_host=HOST) as server:
        (root / "key.json").write_text(tokens.key_text, encoding="utf-8")
        fields = {"name": "g", "bucket": gcs.BUCKET, "service_account_key": {"file": "key.json"}, "endpoint_url": server.url()}
        yield (
            GcsBucketSpec.model_validate(fields),
            [
                Way("google-cloud-storage", partial(yardsticks.gcs_library, server, checked=False)),
                Way("the same, checked", partial(yardsticks.gcs_library, server, checked=True)),
            ],
        )


@contextmanager
def _s3(root: Path) -> Iterator[tuple[StorageSpec, list[Way]]]:
    with s3.s3() as server:
        owner = server.keys["owner"]
        (root / "secret").write_text(owner.secret_access_key, encoding="utf-8")
        fields = {"name": "s", "bucket": s3.BUCKET, "region": s3.REGION, "endpoint_url": server.url(), "access_key_id": owner.access_key_id}
        spec = S3BucketSpec.model_validate({**fields, "secret_access_key": {"file": "secret"}})
        yield spec, [Way("boto3", partial(yardsticks.s3_library, server))]


_PLACES = {"sftp": _sftp, "ftps": _ftps, "azure": _azure, "gcs": _gcs, "s3": _s3}


if __name__ == "__main__":
    main()
