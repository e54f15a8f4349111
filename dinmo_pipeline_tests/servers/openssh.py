"""OpenSSH's sshd with accounts of several rights; without root, one account: the caller's own, by key alone."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline_tests.servers.running import (
    HOST,
    IS_ROOT,
    Login,
    Program,
    free_port,
    missing,
    need_program,
    running,
    server_folder,
    system_user,
)

# What each account may not do; those without an entry may do all. internal-sftp refuses the requests that -P names.
_COMMANDS = {"no_rename": "internal-sftp -P rename,posix-rename", "no_posix_rename": "internal-sftp -P posix-rename"}


@dataclass(frozen=True)
class OpenSsh:
    """The server: where it is, its host key as a line for `host_key`, and the key file that opens every account.

    `program` is None where the server is a part of this process.
    """

    host: str
    port: int
    host_key: str
    private_key: Path
    logins: dict[str, Login]
    program: Program | None = None

    def login(self, name: str) -> Login:
        """`plain`, `chrooted`, `no_rename` or `no_posix_rename`."""
        if name not in self.logins:
            missing(f"the account {name} of OpenSSH needs root")
        return self.logins[name]


@contextmanager
def openssh() -> Iterator[OpenSsh]:
    """The server, with its accounts' folders in a folder of its own; all is gone afterwards."""
    sshd = need_program("sshd", package="openssh-server")
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        if IS_ROOT:
            # Where sshd drops to before anybody has logged in.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        make_key(folder / "host_key")
        make_key(folder / "user_key")
        public_key = (folder / "user_key.pub").read_text()
        (folder / "authorized_keys").write_text(public_key)
        logins = _logins(folder, stack)
        port = free_port()
        config = folder / "sshd_config"
        config.write_text(_config(folder, port, logins))
        program = stack.enter_context(running([sshd, "-D", "-e", "-f", str(config)], port=port, log=folder / "sshd.log"))
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        yield OpenSsh(host=HOST, port=port, host_key=host_key, private_key=folder / "user_key", logins=logins, program=program)


def make_key(path: Path, *options: str) -> None:
    """A key pair at `path` and `path`.pub; Ed25519 without a passphrase unless `options` of ssh-keygen say otherwise."""
    keygen = need_program("ssh-keygen", package="openssh-client")
    defaults = [*([] if "-t" in options else ["-t", "ed25519"]), *([] if "-N" in options else ["-N", ""])]
    subprocess.run([keygen, "-q", "-C", "test", "-f", str(path), *defaults, *options], check=True, capture_output=True)


def _logins(folder: Path, stack: ExitStack) -> dict[str, Login]:
    if not IS_ROOT:
        return {"plain": Login(username=getpass.getuser(), home=Path.home(), start=str(Path.home()))}
    logins = {name: stack.enter_context(system_user(name, folder / name)) for name in ("plain", *_COMMANDS)}
    cage = folder / "cage"
    cage.mkdir(mode=0o755)
    logins["chrooted"] = stack.enter_context(system_user("chrooted", cage / "files", start="/files"))
    return logins


def _config(folder: Path, port: int, logins: dict[str, Login]) -> str:
    lines = [
        f"Port {port}",
        f"ListenAddress {HOST}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        f"PasswordAuthentication {'yes' if IS_ROOT else 'no'}",
        "KbdInteractiveAuthentication no",
        "MaxStartups 100",
        "Subsystem sftp internal-sftp",
        f"AllowUsers {' '.join(login.username for login in logins.values())}",
    ]
    for name, login in logins.items():
        if command := _COMMANDS.get(name):
            lines += [f"Match User {login.username}", f"ForceCommand {command}"]
    if "chrooted" in logins:
        lines += [f"Match User {logins['chrooted'].username}", f"ChrootDirectory {folder}/cage", "ForceCommand internal-sftp"]
    return "\n".join(lines) + "\n"
