"""fsspec's filesystems as places of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.running import HOST, Login
from dinmo_pipeline_tests.servers.samba import Samba
from dinmo_pipeline_tests.servers.webdav import WebDav
from dinmo_pipeline_tests.storages.places import Place


def smb_spec(server: Samba, root: Path, *, host: str = HOST, account: Login | None = None, **fields: object) -> FilesystemSpec:
    """The share by an account's password, which is written to `root`."""
    account = account or server.login
    (root / account.username).write_text(account.password)
    options = {"username": account.username, "password": {"file": account.username}}
    return FilesystemSpec.model_validate({"name": "partner", "url": server.url(host=host), "options": options, **fields})


def webdav_spec(server: WebDav, root: Path, *, host: str = HOST, **fields: object) -> FilesystemSpec:
    """The server by its account's password, which is written to `root`."""
    (root / "password").write_text(server.login.password)
    options = {"base_url": server.base_url(host=host), "username": server.login.username, "password": {"file": "password"}}
    return FilesystemSpec.model_validate({"name": "partner", "url": "webdav://", "options": options, **fields})


def smb_share(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """A share of Samba's, which keeps no more in its names than Windows does."""
    server: Samba = request.getfixturevalue("samba_server")
    relay: Relay = request.getfixturevalue("samba_relay")
    return Place(
        spec=smb_spec(server, root),
        project_root=root,
        folder=folder,
        disk=server.disk / folder,
        refused='\\:*?"<>|',
        relayed=smb_spec(server, root, host=RELAY_HOST),
        relay=relay,
    )


def webdav_folder(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """A folder of Apache's."""
    server: WebDav = request.getfixturevalue("webdav_server")
    relay: Relay = request.getfixturevalue("webdav_relay")
    return Place(
        spec=webdav_spec(server, root),
        project_root=root,
        folder=folder,
        disk=server.disk / folder,
        relayed=webdav_spec(server, root, host=RELAY_HOST),
        relay=relay,
    )


def memory_folder(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """fsspec's memory of this process, where files are hidden until they are committed."""
    return Place(spec=FilesystemSpec(name="partner", url="memory://contract"), project_root=root, folder=folder, folders=False)
