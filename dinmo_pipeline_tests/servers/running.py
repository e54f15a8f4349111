"""Starting other people's programs for a test: what they need, a free port, ready, stopped."""

from __future__ import annotations

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

HOST = "127.0.0.1"
IS_ROOT = os.geteuid() == 0
_accounts = count()
# Below those that the system gives to clients, who would take one between the choice and the server's start.
_PORTS = range(10_000, 32_000)
_reserved: list[ExitStack] = []
_ACCOUNT_NAME = 24
_READY_SECONDS = 120
# Programs of an administrator are often not on a user's PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"))


def missing(reason: str) -> NoReturn:
    """End the test because something is not here: a failure where CI is set, so that nothing goes untested there, else a skip."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (a failure because CI is set)", pytrace=False)
    # A developer without root or npm still gets the rest of the suite, and is told what is missing.
    pytest.skip(reason)


def need_program(name: str, *, package: str) -> str:
    """The program's path."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        missing(f"{name} is not installed: install {package}, or run scripts/ensure-servers")
    return found


def need_root(what: str) -> None:
    """End the test unless this is root."""
    if not IS_ROOT:
        missing(f"{what} needs root")


def free_port() -> int:
    """A port that nobody listens on, and that no other test process is given while this one runs."""
    return free_port_range(1)[0]


def free_port_range(count: int) -> range:
    """So many ports in a row that nobody listens on, and that no other test process is given while this one runs."""
    for _ in range(1000):
        first = random.randrange(_PORTS.start, _PORTS.stop - count)
        with ExitStack() as reservations, suppress(OSError):
            for port in range(first, first + count):
                # The tests' servers speak TCP: their ports of UDP are free to say that somebody has it.
                reservation = reservations.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                reservation.bind((HOST, port))
                socket.create_server((HOST, port)).close()
            _reserved.append(reservations.pop_all())
            return range(first, first + count)
    pytest.fail(f"no {count} free ports in a row were found", pytrace=False)


class Program:
    """Somebody else's program while it runs; listens on `port`, writes to `log`."""

    def __init__(self, command: list[str], *, port: int, log: Path) -> None:
        self._command = command
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes]

    def __getstate__(self) -> dict[str, object]:
        """Another process may know where it is, and has no hand on it."""
        return {name: value for name, value in vars(self).items() if name != "_process"}

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _wait_until_it_listens(self._process, self._port, self._log)

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it and all that it has started, at once."""
        for pid in [self._process.pid, *_descendants(self._process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Let it end."""
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running(command: list[str], *, port: int, log: Path) -> Iterator[Program]:
    """The program, running and listening on `port`; its output goes to `log`."""
    program = Program(command, port=port, log=log)
    try:
        program.start()
        yield program
    finally:
        program.stop()


def _descendants(pid: int) -> list[int]:
    """The processes that it has started and that are still there, and theirs."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"{process.args!r} does not listen on port {port}; its output:\n{log.read_text(errors='replace')}", pytrace=False)


@dataclass(frozen=True)
class Login:
    """An account on a server. `home` is its login directory on this machine's disk; `start` is what the account itself sees it as."""

    username: str
    home: Path
    start: str
    password: str = field(repr=False, default="")


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for a server's files that other accounts may pass through; as root in /srv, because a chroot demands folders of root's."""
    folder = Path(tempfile.mkdtemp(prefix="dinmo-test-", dir="/srv" if IS_ROOT else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def system_user(name: str, home: Path, *, start: str | None = None) -> Iterator[Login]:
    """An account of this machine with a password, for the time of the test; its `home` is made if need be."""
    need_root("making an account for a server")
    _remove_stale_users()
    # A process may have several servers, and each its accounts; a name may have 32 characters, and ends with its process.
    username = f"dinmo-{next(_accounts)}-{name}"[:_ACCOUNT_NAME].rstrip("-") + f"-{os.getpid()}"
    password = secrets.token_urlsafe(24)
    subprocess.run(
        [need_program("useradd", package="passwd"), "--no-create-home", "--home-dir", start or str(home), "--shell", "/bin/sh", username],
        check=True,
        capture_output=True,
    )
    try:
        subprocess.run(
            [need_program("chpasswd", package="passwd")], input=f"{username}:{password}", text=True, check=True, capture_output=True
        )
        if not home.exists():
            home.mkdir()
            shutil.chown(home, username, username)
        yield Login(username=username, home=home, start=start or str(home), password=password)
    finally:
        subprocess.run([need_program("userdel", package="passwd"), username], check=True, capture_output=True)


def _remove_stale_users() -> None:
    """Accounts of a test run that was killed: their names end with its process."""
    for account in pwd.getpwall():
        owner = account.pw_name.rpartition("-")[2]
        if account.pw_name.startswith("dinmo-") and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            # Another worker may be doing the same.
            subprocess.run([need_program("userdel", package="passwd"), account.pw_name], check=False, capture_output=True)
