"""The places that the contract runs on. A storage joins by one function that makes its Place, and one line in PLACES."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.storages.local import LocalFolderSpec
from dinmo_pipeline.storages.sftp import SftpServerSpec
from dinmo_pipeline_tests.servers.fixtures import openssh_relay, openssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.storages.places import Place

__all__ = ["openssh_relay", "openssh_server"]


def local_folder(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    return Place(spec=LocalFolderSpec(name="partner", path="out"), project_root=root, folder=folder, disk=root / "out" / folder)


def sftp(login: str, **options: object) -> Callable[[pytest.FixtureRequest, Path, str], Place]:
    """OpenSSH, as this account."""

    def make(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
        server: OpenSsh = request.getfixturevalue("openssh_server")
        account = server.login(login)
        fields = {
            "name": "partner",
            "port": server.port,
            "username": account.username,
            "private_key": {"file": str(server.private_key)},
            "host_key": server.host_key,
            **options,
        }
        return Place(
            spec=SftpServerSpec.model_validate({**fields, "host": server.host}),
            project_root=root,
            folder=folder,
            disk=account.home / folder,
            relayed=SftpServerSpec.model_validate({**fields, "host": RELAY_HOST}),
            relay=request.getfixturevalue("openssh_relay"),
        )

    return make


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path, str], Place]] = {
    "local": local_folder,
    "sftp": sftp("plain"),
    "sftp-chrooted": sftp("chrooted"),
    "sftp-without-posix-rename": sftp("no_posix_rename"),
    "sftp-direct": sftp("no_rename", publish="direct"),
}


# A server runs in one worker only: those of one place stay together.
@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name.partition("-")[0])) for name in PLACES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each of PLACES in turn, with a folder of this test's own."""
    root = tmp_path / "project"
    root.mkdir()
    return PLACES[request.param](request, root, f"test {uuid.uuid4().hex[:12]}")
