"""asyncssh's SFTP server, as a partner's that is not OpenSSH: it knows no `posix-rename` and never renames over a file. Needs no root."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.running import HOST, Login, server_folder


class PlainSftp(asyncssh.SFTPServer):
    """SFTP version 3 as it was written down: rename is all there is."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("Unsupported request")

    def fsync(self, file_obj: object) -> None:
        raise asyncssh.SFTPOpUnsupported("Unsupported request")


@contextmanager
def asyncssh_server(sftp: type[asyncssh.SFTPServer] = PlainSftp) -> Iterator[OpenSsh]:
    """The server, with one account that logs in by key and cannot leave its folder; `sftp` is what it knows."""
    with server_folder() as folder:
        host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        user_key.write_private_key(str(folder / "user_key"))
        (folder / "authorized_keys").write_bytes(user_key.export_public_key())
        home = folder / "files"
        home.mkdir()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            acceptor = asyncio.run_coroutine_threadsafe(_started(folder, home, host_key, sftp), loop).result(20)
            yield OpenSsh(
                host=HOST,
                port=acceptor.get_port(),
                host_key=host_key.export_public_key().decode().strip(),
                private_key=Path(folder / "user_key"),
                logins={"plain": Login(username="partner", home=home, start="/")},
            )
            asyncio.run_coroutine_threadsafe(_stopped(acceptor), loop).result(20)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _started(folder: Path, home: Path, host_key: asyncssh.SSHKey, sftp: type[asyncssh.SFTPServer]) -> asyncssh.SSHAcceptor:
    return await asyncssh.listen(
        HOST,
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(folder / "authorized_keys"),
        sftp_factory=lambda channel: sftp(channel, chroot=str(home).encode()),
    )


async def _stopped(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
