"""Whatever happens at whatever call: nothing is lost, no part of a file is seen, nothing is left behind.

`make test-faults` lets a thousand faults happen; `FAULTS=` and `SEED=` choose.
"""

from __future__ import annotations

import os
import random
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline_tests.faults.campaign import Campaign
from dinmo_pipeline_tests.faults.destinations import Destination, InBucket, OnDisk
from dinmo_pipeline_tests.faults.working import Workers
from dinmo_pipeline_tests.faults.worlds import ImportWorld, SyncWorld, World
from dinmo_pipeline_tests.servers import cloud_fixtures, fixtures, s3
from dinmo_pipeline_tests.servers.disks import small_disk, small_folder
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd

openssh_server, openssh_relay = fixtures.openssh_server, fixtures.openssh_relay
vsftpd_none, vsftpd_none_relay = fixtures.vsftpd_none, fixtures.vsftpd_none_relay
s3_server, s3_relay = cloud_fixtures.s3_server, cloud_fixtures.s3_relay

FAULTS = int(os.environ.get("FAULTS", "24"))
# The usual run is the same each time, as far as the machine's own pace lets it be.
SEED = int(os.environ.get("SEED") or (1 if "FAULTS" not in os.environ else random.randrange(1_000_000)))
_MEGABYTES = 64
_RETRIES = 2
_FEWEST, _QUICK = 5, 4

Place = Callable[[pytest.FixtureRequest, Path, str], Any]


@contextmanager
def local(request: pytest.FixtureRequest, root: Path, folder: str) -> Iterator[Destination]:
    """A folder on a disk that is not the project's, so that a put has to copy."""
    (root / "out").mkdir()
    with small_folder(root / "out" / folder, megabytes=_MEGABYTES) as disk:
        yield OnDisk("LocalFolder", {"path": "out"}, folder, disk)


@contextmanager
def sftp(request: pytest.FixtureRequest, root: Path, folder: str) -> Iterator[Destination]:
    """OpenSSH."""
    server: OpenSsh = request.getfixturevalue("openssh_server")
    account = server.login("plain")
    attributes = {
        "host": RELAY_HOST,
        "port": server.port,
        "username": account.username,
        "private_key": {"file": str(server.private_key)},
        "host_key": server.host_key,
        "retries": _RETRIES,
    }
    relay = request.getfixturevalue("openssh_relay")
    with small_disk(account, folder, megabytes=_MEGABYTES):
        disk = account.home / folder
        yield OnDisk("SftpServer", attributes, folder, disk, owner=account.username, relay=relay, program=server.program)


@contextmanager
def ftp(request: pytest.FixtureRequest, root: Path, folder: str) -> Iterator[Destination]:
    """Vsftpd."""
    server: Vsftpd = request.getfixturevalue("vsftpd_none")
    (root / "password").write_text(server.login.password)
    attributes = {
        "host": RELAY_HOST,
        "port": server.port,
        "username": server.login.username,
        "password": {"file": "password"},
        "tls": "none",
        "retries": _RETRIES,
    }
    relay = request.getfixturevalue("vsftpd_none_relay")
    with small_disk(server.login, folder, megabytes=_MEGABYTES):
        disk = server.login.home / folder
        yield OnDisk("FtpServer", attributes, folder, disk, owner=server.login.username, relay=relay, program=server.program)


@contextmanager
def bucket(request: pytest.FixtureRequest, root: Path, folder: str) -> Iterator[Destination]:
    """Moto's S3, which forgets all when it is killed, and so is not."""
    server: s3.S3Server = request.getfixturevalue("s3_server")
    owner = server.keys["owner"]
    (root / "secret").write_text(owner.secret_access_key)
    attributes = {
        "bucket": s3.BUCKET,
        "region": s3.REGION,
        "endpoint_url": server.url(RELAY_HOST),
        "access_key_id": owner.access_key_id,
        "secret_access_key": {"file": "secret"},
        "retries": _RETRIES,
    }
    yield InBucket(attributes, folder, server, request.getfixturevalue("s3_relay"))


def activation(mode: str, file_name: str, format_: str, **options: object) -> dict[str, object]:
    """What the activation of a world is beside the usual."""
    return {"sync_mode": mode, "file_name": file_name, "format": format_, **options}


DATED, FIXED = "{x}_e", "e"
SYNCS: dict[str, tuple[Place, dict[str, object], dict[str, Any]]] = {
    "local difference": (local, activation("difference", DATED, "csv"), {}),
    "local upsert": (local, activation("upsert", FIXED, "parquet"), {}),
    "local insert": (local, activation("insert", DATED, "ndjson"), {"takes_away": True}),
    "local snapshot": (local, activation("snapshot", FIXED, "json", run_type="full_only", max_rows=2), {}),
    "sftp difference": (
        sftp,
        activation("difference", DATED, "xml", max_rows=2, manifest=True, done_file=".done"),
        {"takes_away": True, "size": 50_000},
    ),
    "local with state in S3": (local, activation("difference", DATED, "csv"), {"state": True}),
    "sftp parts": (sftp, activation("difference", FIXED, "csv", max_rows=1), {}),
    "sftp upsert": (sftp, activation("upsert", DATED, "csv"), {"size": 200_000}),
    "ftp difference": (ftp, activation("difference", DATED, "ndjson", manifest=True), {"size": 50_000}),
    "ftp insert": (ftp, activation("insert", DATED, "json"), {"takes_away": True}),
    "s3 difference": (bucket, activation("difference", DATED, "parquet"), {"takes_away": True}),
    "s3 upsert": (bucket, activation("upsert", FIXED, "csv", max_rows=2, done_file=".done"), {}),
}
IMPORTS: dict[str, tuple[Place, dict[str, object], dict[str, Any]]] = {
    "import from a folder": (local, {"load": "append"}, {}),
    "import by sftp": (sftp, {"load": "append"}, {"size": 20_000}),
    "import by ftp": (ftp, {"load": "merge"}, {"size": 20_000, "after_import": "delete"}),
    "import from s3": (bucket, {"load": "merge"}, {}),
    "import and leave": (local, {"load": "append"}, {"after_import": "leave"}),
}


@contextmanager
def made(request: pytest.FixtureRequest, tmp_path: Path, name: str, workers: Workers) -> Iterator[World]:
    """The world of this name, on its disk."""
    place, options, more = {**SYNCS, **IMPORTS}[name]
    kind: Callable[..., World] = SyncWorld if name in SYNCS else ImportWorld
    if more.get("state"):
        more = {"variables": state_in_s3(request)}
    home = Path(tempfile.mkdtemp(dir=tmp_path))
    with small_folder(home / "project", megabytes=_MEGABYTES) as root, place(request, root, f"f{uuid.uuid4().hex[:8]}") as destination:
        yield kind(options, name, root, destination, workers, **more)


def state_in_s3(request: pytest.FixtureRequest) -> dict[str, str]:
    """What a user sets to have the state there."""
    server: s3.S3Server = request.getfixturevalue("s3_server")
    owner = server.keys["owner"]
    return {
        "DINMO_STATE_URL": f"s3://{s3.BUCKET}/state/{uuid.uuid4().hex[:8]}",
        "AWS_ENDPOINT_URL": server.url(),
        "AWS_DEFAULT_REGION": s3.REGION,
        "AWS_ACCESS_KEY_ID": owner.access_key_id,
        "AWS_SECRET_ACCESS_KEY": owner.secret_access_key,
    }


def is_quick(place: Place, _: object, more: dict[str, Any]) -> bool:
    """Whether no server is asked."""
    return place is local and "state" not in more


def chosen() -> dict[str, int]:
    """How many faults each world gets: few faults in few worlds, of all kinds; several times as many where no server is asked."""
    names = os.environ["WORLDS"].split(",") if "WORLDS" in os.environ else [*SYNCS, *IMPORTS]
    names = names[:: -(-len(names) * _FEWEST // FAULTS)]
    weights = [_QUICK if is_quick(*{**SYNCS, **IMPORTS}[name]) else 1 for name in names]
    ends = [FAULTS * part // sum(weights) for part in accumulate(weights, initial=0)]
    return {name: end - start for name, (start, end) in zip(names, pairwise(ends), strict=True)}


def test_faults_at_any_call_lose_nothing(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    campaign = Campaign(SEED)
    with Workers() as workers:
        for name, faults in chosen().items():
            campaign.play(partial(made, request, tmp_path, name, workers), faults)
    print("\n" + "\n".join(campaign.figures()))
    assert not campaign.problems
