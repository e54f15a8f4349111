"""vsftpd, as Debian configures it where TLS is concerned: data connections must reuse the session. It announces a wrong address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.running import (
    HOST,
    Login,
    Program,
    free_port,
    free_port_range,
    need_program,
    need_root,
    running,
    server_folder,
    system_user,
)

_PASSIVE_PORTS = 30


@dataclass(frozen=True)
class Vsftpd:
    """The running server: `authority` signed its certificate; `ports` are all that it listens on, for a relay."""

    host: str
    port: int
    ports: Sequence[int]
    authority: Path
    login: Login
    no_rename: Login
    program: Program


@contextmanager
def vsftpd(tls: Literal["explicit", "implicit", "none"]) -> Iterator[Vsftpd]:
    """The server with two accounts, one of which may not rename."""
    program = need_program("vsftpd", package="vsftpd")
    need_root("vsftpd")
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        certificates = make_certificates(folder)
        login = stack.enter_context(system_user(f"ftp-{tls}", folder / "files"))
        no_rename = stack.enter_context(system_user(f"ftp-{tls}-fixed", folder / "fixed"))
        (folder / "users").mkdir()
        (folder / "users" / no_rename.username).write_text("cmds_denied=RNFR,RNTO\n")
        (folder / "empty").mkdir()
        port, passive = free_port(), free_port_range(_PASSIVE_PORTS)
        settings = {
            "listen": "YES",
            "listen_address": HOST,
            "listen_port": port,
            "background": "NO",
            "anonymous_enable": "NO",
            "local_enable": "YES",
            "write_enable": "YES",
            "local_umask": "022",
            "pam_service_name": "vsftpd",
            "secure_chroot_dir": folder / "empty",
            "user_config_dir": folder / "users",
            "xferlog_enable": "NO",
            "utf8_filesystem": "YES",
            # An address of nobody's, as servers behind a NAT announce it.
            "pasv_address": "192.0.2.1",
            "pasv_min_port": passive.start,
            "pasv_max_port": passive.stop - 1,
        }
        if tls != "none":
            settings |= {
                "ssl_enable": "YES",
                "implicit_ssl": "YES" if tls == "implicit" else "NO",
                "rsa_cert_file": certificates.server,
                "rsa_private_key_file": certificates.server,
                "force_local_logins_ssl": "YES",
                "force_local_data_ssl": "YES",
                "require_ssl_reuse": "YES",
                "ssl_ciphers": "HIGH",
            }
        config = folder / "vsftpd.conf"
        config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        server = stack.enter_context(running([program, str(config)], port=port, log=folder / "vsftpd.log"))
        ports = [port, *passive]
        yield Vsftpd(HOST, port, ports, authority=certificates.authority, login=login, no_rename=no_rename, program=server)
