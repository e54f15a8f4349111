"""The places that the contract runs on. A storage joins by one function that makes its Place, and one line in PLACES."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline_tests.servers.cloud_fixtures import (
    azurite_relay,
    azurite_server,
    gcs_relay,
    gcs_server,
    gcs_tokens,
    s3_relay,
    s3_server,
)
from dinmo_pipeline_tests.servers.fixtures import (
    asyncssh_sftp,
    asyncssh_sftp_relay,
    openssh_relay,
    openssh_server,
    pyftpd_bare,
    pyftpd_modern,
    pyftpd_plain,
    pyftpd_plain_relay,
    pyftpd_windows,
    samba_relay,
    samba_server,
    vsftpd_explicit,
    vsftpd_explicit_relay,
    vsftpd_implicit,
    vsftpd_none,
    webdav_relay,
    webdav_server,
)
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.servers.pyftpd import PyFtpd
from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.servers.running import Login
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd
from dinmo_pipeline_tests.storages.cloud_places import azure_container, gcs_bucket, s3_bucket
from dinmo_pipeline_tests.storages.definitions import ftp_spec, sftp_spec
from dinmo_pipeline_tests.storages.filesystem_places import memory_folder, smb_share, webdav_folder
from dinmo_pipeline_tests.storages.places import Place

__all__ = [
    "asyncssh_sftp",
    "asyncssh_sftp_relay",
    "azurite_relay",
    "azurite_server",
    "gcs_relay",
    "gcs_server",
    "gcs_tokens",
    "openssh_relay",
    "openssh_server",
    "pyftpd_bare",
    "pyftpd_modern",
    "pyftpd_plain",
    "pyftpd_plain_relay",
    "pyftpd_windows",
    "s3_relay",
    "s3_server",
    "samba_relay",
    "samba_server",
    "short_pauses",
    "vsftpd_explicit",
    "vsftpd_explicit_relay",
    "vsftpd_implicit",
    "vsftpd_none",
    "webdav_relay",
    "webdav_server",
]

Maker = Callable[[pytest.FixtureRequest, Path, str], Place]


def local_folder(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    return Place(spec=LocalFolderSpec(name="partner", path="out"), project_root=root, folder=folder, disk=root / "out" / folder)


def sftp(login: str, *, fixture: str = "openssh_server", relay: str = "openssh_relay", **options: object) -> Maker:
    """The SFTP server of this fixture, as this account, behind the relay of that one."""

    def make(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
        server: OpenSsh = request.getfixturevalue(fixture)
        account = server.login(login)
        return Place(
            spec=sftp_spec(server, account, **options),
            project_root=root,
            folder=folder,
            disk=account.home / folder,
            relayed=sftp_spec(server, account, host=RELAY_HOST, **options),
            relay=request.getfixturevalue(relay),
        )

    return make


def ftp(fixture: str, tls: str, *, relay: str | None = None, login: str = "login", **options: object) -> Maker:
    """The FTP server of this fixture, behind the relay of that one."""

    def make(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
        server: Vsftpd | PyFtpd = request.getfixturevalue(fixture)
        account: Login = getattr(server, login)
        return Place(
            spec=ftp_spec(server, account, root, tls=tls, **options),
            project_root=root,
            folder=folder,
            disk=account.home / folder,
            relayed=None if relay is None else ftp_spec(server, account, root, tls=tls, host=RELAY_HOST, **options),
            relay=None if relay is None else request.getfixturevalue(relay),
        )

    return make


PLACES: dict[str, Maker] = {
    "local": local_folder,
    "azure": azure_container,
    "gcs": gcs_bucket,
    "s3": s3_bucket,
    "sftp": sftp("plain"),
    "sftp-chrooted": sftp("chrooted"),
    "sftp-without-posix-rename": sftp("no_posix_rename"),
    "sftp-direct": sftp("no_rename", publish="direct"),
    "asyncssh": sftp("plain", fixture="asyncssh_sftp", relay="asyncssh_sftp_relay"),
    "vsftpd-explicit": ftp("vsftpd_explicit", "explicit", relay="vsftpd_explicit_relay"),
    "vsftpd-implicit": ftp("vsftpd_implicit", "implicit"),
    "vsftpd-plain": ftp("vsftpd_none", "none"),
    "vsftpd-direct": ftp("vsftpd_none", "none", login="no_rename", publish="direct"),
    "pyftpdlib-explicit": ftp("pyftpd_modern", "explicit"),
    "pyftpdlib-plain": ftp("pyftpd_plain", "none", relay="pyftpd_plain_relay"),
    "vsftpd-active": ftp("vsftpd_none", "none", passive=False),
    "pyftpdlib-bare": ftp("pyftpd_bare", "none"),
    "pyftpdlib-windows": ftp("pyftpd_windows", "none"),
    "smb": smb_share,
    "webdav": webdav_folder,
    "memory": memory_folder,
}


# A server runs in one worker only: those of one place stay together.
@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name.partition("-")[0])) for name in PLACES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each of PLACES in turn, with a folder of this test's own."""
    root = tmp_path / "project"
    root.mkdir()
    made = PLACES[request.param](request, root, f"test {uuid.uuid4().hex[:12]}")
    yield made
    if made.relay is not None:
        made.relay.let_pass()
