"""Samba's smbd with one folder as three shares: to write to, to read, and one whose links may lead elsewhere (DFS).

Needs root: its accounts are the machine's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline_tests.servers.running import (
    HOST,
    Login,
    Program,
    free_port,
    need_program,
    need_root,
    running,
    server_folder,
    system_user,
)

_CONFIGURATION = """\
[global]
interfaces = 127.0.0.1/8
bind interfaces only = yes
server min protocol = SMB2_02
smb encrypt = if_required
passdb backend = tdbsam:{folder}/private/passdb.tdb
private dir = {folder}/private
lock directory = {folder}/lock
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/pid
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log
load printers = no
disable spoolss = yes
map to guest = never
[exports]
path = {folder}/exports
read only = no
[readonly]
path = {folder}/exports
read only = yes
[namespace]
path = {folder}/exports
read only = no
msdfs root = yes
"""


@dataclass(frozen=True)
class Samba:
    """The running server. The share `exports` may be written to, `readonly` and `namespace` (DFS) show the same folder of the disk."""

    host: str
    port: int
    login: Login
    other: Login
    disk: Path
    program: Program

    def url(self, *, host: str = HOST, share: str = "exports") -> str:
        """The share's address."""
        return f"smb://{host}:{self.port}/{share}"


@contextmanager
def samba() -> Iterator[Samba]:
    """The server, with two accounts that may do the same."""
    need_root("smbd")
    smbd, smbpasswd = (need_program(name, package="samba") for name in ("smbd", "smbpasswd"))
    with server_folder() as folder, system_user("smb", folder / "one") as login, system_user("smb-other", folder / "two") as other:
        for name in ("private", "lock", "state", "cache", "pid", "ncalrpc", "exports"):
            (folder / name).mkdir()
        (folder / "exports").chmod(0o1777)
        configuration = folder / "smb.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder))
        for account in (login, other):
            password = f"{account.password}\n" * 2
            command = [smbpasswd, "-c", str(configuration), "-s", "-a", account.username]
            subprocess.run(command, input=password, text=True, check=True, capture_output=True)
        port = free_port()
        command = [smbd, "--foreground", f"--configfile={configuration}", f"--port={port}"]
        with running(command, port=port, log=folder / "output") as program:
            yield Samba(HOST, port, login, other, folder / "exports", program)
