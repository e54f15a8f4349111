"""The servers as fixtures: one of each for a whole test run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dinmo_pipeline_tests.servers.asyncssh_server import asyncssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh
from dinmo_pipeline_tests.servers.pyftpd import PyFtpd, pyftpd
from dinmo_pipeline_tests.servers.relay import Relay
from dinmo_pipeline_tests.servers.samba import Samba, samba
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd, vsftpd
from dinmo_pipeline_tests.servers.webdav import WebDav, webdav


@pytest.fixture(scope="session")
def openssh_server() -> Iterator[OpenSsh]:
    with openssh() as server:
        yield server


@pytest.fixture(scope="session")
def openssh_relay(openssh_server: OpenSsh) -> Iterator[Relay]:
    with Relay().listening([openssh_server.port]) as relay:
        yield relay


@pytest.fixture(scope="session")
def asyncssh_sftp() -> Iterator[OpenSsh]:
    with asyncssh_server() as server:
        yield server


@pytest.fixture(scope="session")
def asyncssh_sftp_relay(asyncssh_sftp: OpenSsh) -> Iterator[Relay]:
    with Relay().listening([asyncssh_sftp.port]) as relay:
        yield relay


@pytest.fixture(scope="session")
def vsftpd_explicit() -> Iterator[Vsftpd]:
    with vsftpd("explicit") as server:
        yield server


@pytest.fixture(scope="session")
def vsftpd_explicit_relay(vsftpd_explicit: Vsftpd) -> Iterator[Relay]:
    with Relay().listening(vsftpd_explicit.ports) as relay:
        yield relay


@pytest.fixture(scope="session")
def vsftpd_implicit() -> Iterator[Vsftpd]:
    with vsftpd("implicit") as server:
        yield server


@pytest.fixture(scope="session")
def vsftpd_none() -> Iterator[Vsftpd]:
    with vsftpd("none") as server:
        yield server


@pytest.fixture(scope="session")
def vsftpd_none_relay(vsftpd_none: Vsftpd) -> Iterator[Relay]:
    with Relay().listening(vsftpd_none.ports) as relay:
        yield relay


@pytest.fixture(scope="session")
def pyftpd_modern() -> Iterator[PyFtpd]:
    with pyftpd("modern") as server:
        yield server


@pytest.fixture(scope="session")
def pyftpd_plain() -> Iterator[PyFtpd]:
    with pyftpd("plain") as server:
        yield server


@pytest.fixture(scope="session")
def pyftpd_plain_relay(pyftpd_plain: PyFtpd) -> Iterator[Relay]:
    with Relay().listening(pyftpd_plain.ports) as relay:
        yield relay


@pytest.fixture(scope="session")
def pyftpd_bare() -> Iterator[PyFtpd]:
    with pyftpd("bare") as server:
        yield server


@pytest.fixture(scope="session")
def pyftpd_windows() -> Iterator[PyFtpd]:
    with pyftpd("windows") as server:
        yield server


@pytest.fixture(scope="session")
def samba_server() -> Iterator[Samba]:
    with samba() as server:
        yield server


@pytest.fixture(scope="session")
def samba_relay(samba_server: Samba) -> Iterator[Relay]:
    with Relay().listening([samba_server.port]) as relay:
        yield relay


@pytest.fixture(scope="session")
def webdav_server() -> Iterator[WebDav]:
    with webdav() as server:
        yield server


@pytest.fixture(scope="session")
def webdav_relay(webdav_server: WebDav) -> Iterator[Relay]:
    with Relay().listening([webdav_server.port]) as relay:
        yield relay
