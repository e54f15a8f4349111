"""An SFTP server with one account, which logs in by a password that may be changed while the server runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from dinmo_pipeline_tests.servers.running import HOST, server_folder


@dataclass
class PasswordSftp:
    """The running server: `home` is the account's folder on this machine, `password` the one that it takes now."""

    home: Path
    port: int
    host_key: str
    password: str
    username: str = "partner"
    host: str = HOST


@contextmanager
def password_sftp(password: str) -> Iterator[PasswordSftp]:
    """A running one."""
    with server_folder() as folder:
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        partner = PasswordSftp(folder / "files", 0, host_key.export_public_key().decode().strip(), password)
        partner.home.mkdir()

        class Gate(asyncssh.SSHServer):
            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (partner.username, partner.password)

        async def start() -> asyncssh.SSHAcceptor:
            files = str(partner.home).encode()
            return await asyncssh.listen(
                HOST,
                0,
                server_host_keys=[host_key],
                server_factory=Gate,
                sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=files),
            )

        async def stop(acceptor: asyncssh.SSHAcceptor) -> None:
            acceptor.close()
            await acceptor.wait_closed()

        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            acceptor = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
            partner.port = acceptor.get_port()
            yield partner
            asyncio.run_coroutine_threadsafe(stop(acceptor), loop).result(20)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
