"""PostgreSQL and MariaDB as clusters of their own: a temporary folder, a user without rights, a socket and no port."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dinmo_pipeline_tests.servers.running import IS_ROOT, need_program, server_folder, system_user

_READY_SECONDS: Final = 120
_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Server:
    """A running server: `client` reads SQL from standard input; the server may read what lies in `data`."""

    client: tuple[str, ...]
    data: Path

    def run(self, sql: str, *, cwd: Path | None = None) -> str:
        """Run statements, the first error ends them and the test; what the client wrote."""
        done = subprocess.run(self.client, input=sql, capture_output=True, text=True, check=False, cwd=cwd or self.data, timeout=300)
        assert done.returncode == 0, f"{sql}\n{done.stderr}"
        assert done.stderr == "", f"{sql}\n{done.stderr}"
        return done.stdout

    def refused(self, sql: str, *, cwd: Path | None = None) -> str:
        """Run statements that the server must refuse: what it said."""
        done = subprocess.run(self.client, input=sql, capture_output=True, text=True, check=False, cwd=cwd or self.data, timeout=300)
        assert done.returncode != 0, f"{sql}\n{done.stdout}"
        return done.stderr

    def take(self, folder: Path) -> None:
        """Lay the files of a delivery where the server reads them, in place of those before."""
        for old in self.data.iterdir():
            old.unlink()
        for path in folder.iterdir():
            shutil.copy(path, self.data)
            (self.data / path.name).chmod(0o644)


def as_user(name: str, command: Sequence[str | Path]) -> list[str]:
    """The command, run by that account where this is root."""
    return [*(("runuser", "-u", name, "--") if IS_ROOT else ()), *map(str, command)]


@contextmanager
def _place(name: str) -> Iterator[tuple[Path, str]]:
    """A folder for a server, and the account that it runs under."""
    with server_folder() as folder:
        (folder / "data").mkdir()
        if not IS_ROOT:
            yield folder, ""
            return
        with system_user(name, folder / "home") as login:
            (folder / "run").mkdir()
            shutil.chown(folder / "run", login.username)
            yield folder, login.username


def _call(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command; its output goes to the log, which a failure shows."""
    with log.open("ab") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=300, cwd="/", env=env)
    assert done.returncode == 0, f"{command}\n{log.read_text(errors='replace')}"


@contextmanager
def postgres() -> Iterator[Server]:
    """PostgreSQL, the newest that is installed; `psql` connects as its superuser."""
    psql = need_program("psql", package="postgresql")
    programs = max(_POSTGRES.glob("*/bin"), default=Path(psql).parent, key=lambda found: int(found.parent.name))
    with _place("readers-pg") as (folder, user):
        run = folder / "run"
        run.mkdir(exist_ok=True)
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            run / "db",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        _call(as_user(user, initdb), folder / "log")
        control: list[str | Path] = [programs / "pg_ctl", "-D", run / "db", "-w", "-t", str(_READY_SECONDS), "-l", run / "log"]
        _call(as_user(user, [*control, "-o", f"-k {run} -c listen_addresses= -c fsync=off", "start"]), folder / "log")
        try:
            yield Server((psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(run), "-U", "postgres"), folder / "data")
        finally:
            _call(as_user(user, [*control, "-m", "fast", "stop"]), folder / "log")


@contextmanager
def mariadb() -> Iterator[Server]:
    """MariaDB; `mariadb` connects as its root, to the database `shop`, and shows each warning."""
    client = need_program("mariadb", package="mariadb-client")
    with _place("readers-maria") as (folder, user):
        run = folder / "run"
        run.mkdir(exist_ok=True)
        install: list[str | Path] = [
            need_program("mariadb-install-db", package="mariadb-server"),
            "--no-defaults",
            f"--datadir={run / 'db'}",
        ]
        _call(as_user(user, [*install, "--auth-root-authentication-method=normal", "--skip-test-db"]), folder / "log")
        options = [f"--datadir={run / 'db'}", f"--socket={run / 'sock'}", f"--pid-file={run / 'pid'}", "--skip-networking"]
        command = as_user(user, [need_program("mariadbd", package="mariadb-server"), "--no-defaults", *options])
        connect = (client, "--no-defaults", f"--socket={run / 'sock'}", "-u", "root")
        with (folder / "log").open("ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
        try:
            _wait(process, connect, folder / "log")
            yield Server(
                (*connect, "--local-infile=1", "--show-warnings", "-N", "-r", "--default-character-set=utf8mb4", "shop"), folder / "data"
            )
        finally:
            # `runuser` hands the signal on to the server.
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()


def _wait(process: subprocess.Popen[bytes], connect: Sequence[str], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run([*connect, "-e", "CREATE DATABASE IF NOT EXISTS shop"], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"MariaDB does not answer:\n{log.read_text(errors='replace')}", pytrace=False)


def json_lines(text: str) -> list[dict[str, str | None]]:
    """The rows that a server wrote, each a line of JSON."""
    return [json.loads(line) for line in text.split("\n") if line]
