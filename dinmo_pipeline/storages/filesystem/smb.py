"""fsspec's SMB filesystem, mended: a login of its own, renames over a file, and no name that a share takes for something else."""

from __future__ import annotations

import stat
import time
import uuid
from collections.abc import Iterator
from typing import Any

import smbclient
from fsspec.implementations.smb import SMBFileSystem
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBOSError
from smbprotocol.header import NtStatus
from smbprotocol.transport import Tcp
from smbprotocol.tree import TreeConnect

from dinmo_pipeline.storages.filesystem.errors import NameRefused, SentOn

# Windows keeps none of these in a name; after a colon it writes to a hidden stream of another file.
_NEVER_IN_NAMES = frozenset('\\:*?"<>|') | frozenset(map(chr, range(32)))
# An inbox must not keep its partner from writing, renaming or deleting.
_READERS_SHARE = "rwd"
_MOVE_ATTEMPTS, _MOVE_PAUSE_S = 8, 0.05


class SmbFiles(SMBFileSystem):  # type: ignore[misc]
    """A share, by a connection of this filesystem alone.

    fsspec's own class has all filesystems of a process share one connection a server, and with it whoever logged in first; it asks for
    each file of a listing, renames over none, and reads names as addresses. smbclient goes with the login to any host that a server names
    (DFS), also for another storage of this process, and makes room for as many bytes as a server announces.
    """

    def __init__(self, host: str, **options: Any) -> None:
        self._connections = _OneServer()
        super().__init__(host, **options)

    def close(self) -> None:
        """End all sessions and connections."""
        smbclient.reset_connection_cache(fail_on_error=False, connection_cache=self._connections)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found = smbclient.stat(self._unc(path), **self._session)
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "file"
        return {"name": path, "size": found.st_size, "type": kind, "mtime": found.st_mtime}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return [each if detail else each["name"] for each in self.scan(path)]

    def scan(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield what `ls` tells, while it comes."""
        with smbclient.scandir(self._unc(path), **self._session) as entries:
            for each in entries:
                yield self._entry(path, each)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        if create_parents:
            self.makedirs(path, exist_ok=False)
        else:
            smbclient.mkdir(self._unc(path), **self._session)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        if path.strip("/").count("/"):
            smbclient.makedirs(self._unc(path), exist_ok=exist_ok, **self._session)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        source, target = self._unc(path1), self._unc(path2)
        for attempt in range(1, _MOVE_ATTEMPTS):
            try:
                smbclient.replace(source, target, **self._session)
            except SMBOSError as error:
                if error.ntstatus not in (NtStatus.STATUS_ACCESS_DENIED, NtStatus.STATUS_SHARING_VIOLATION):
                    raise
            else:
                return
            # Who looks at the old file holds it for a moment.
            time.sleep(attempt * _MOVE_PAUSE_S)
        self._require_free(target)
        smbclient.replace(source, target, **self._session)

    def rm_file(self, path: str) -> None:
        smbclient.remove(self._unc(path), **self._session)

    def rmdir(self, path: str) -> None:
        smbclient.rmdir(self._unc(path), **self._session)

    def copy(self, path1: str, path2: str, **kwargs: Any) -> None:
        smbclient.copyfile(self._unc(path1), self._unc(path2), **self._session)

    def _require_free(self, target: str) -> None:
        """Raise a sharing violation where somebody holds the file open: a rename over it is answered as one without the right is."""
        try:
            smbclient.open_file(target, "rb", share_access=None, **self._session).close()
        except SMBOSError as error:
            if error.ntstatus == NtStatus.STATUS_SHARING_VIOLATION:
                raise

    def _connect(self) -> None:
        # With the client's name that smbclient gives to all, Samba makes one client of several and loses count of what it granted them.
        connection = _Connection(uuid.uuid4(), self.host, self._port)
        self._connections[f"{self.host.lower()}:{self._port}"] = connection
        try:
            connection.connect(timeout=self.timeout)
            smbclient.register_session(self.host, connection_timeout=self.timeout, **self._session)
        except BaseException:  # an interrupt, too, must leave no connection open
            self.close()
            raise

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> Any:
        share = self.share_access if self.share_access is not None or "r" not in mode else _READERS_SHARE
        return smbclient.open_file(self._unc(path), mode, buffering=-1, share_access=share, **self._session)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        # Of a path that is none any more a `?` and a `#` are parts of the name.
        return super()._strip_protocol(path) if path.startswith("smb://") else path

    @property
    def _session(self) -> dict[str, Any]:
        return {
            "username": self.username,
            "password": self.password,
            "port": self._port,
            "encrypt": self.encrypt,
            "connection_cache": self._connections,
        }

    def _unc(self, path: str) -> str:
        for name in path.split("/"):
            if (found := sorted(_NEVER_IN_NAMES.intersection(name))) or name != name.rstrip(". "):
                why = f"holds {''.join(found)!r}" if found else "ends in a dot or a blank"
                raise NameRefused(f"the name {name!r} {why}, which a share takes for something else")
        self._enter(path.strip("/").partition("/")[0])
        return f"\\\\{self.host}" + path.replace("/", "\\")

    def _enter(self, share: str) -> None:
        """Connect to the share as to one without DFS, so that its links to other hosts are errors, and are remembered nowhere."""
        session, name = smbclient.register_session(self.host, connection_timeout=self.timeout, **self._session), f"\\\\{self.host}\\{share}"
        if share and all(tree.share_name != name for tree in session.tree_connect_table.values()):
            tree = TreeConnect(session, name)
            tree.connect()
            tree.is_dfs_share = False

    def _entry(self, folder: str, entry: Any) -> dict[str, Any]:
        found = {
            "name": f"{folder.rstrip('/')}/{entry.name}",
            "size": entry.smb_info.end_of_file,
            "type": "directory" if entry.is_dir(follow_symlinks=False) else "file",
            "mtime": entry.smb_info.last_write_time,
        }
        if entry.is_symlink():
            # Its own size is not that of what it leads to.
            return {**found, **self.info(found["name"]), "islink": True}
        return found


class _OneServer(dict[str, Any]):
    """The one connection of a filesystem: smbclient would make another one to each server that is named to it, or after it broke."""

    def get(self, key: str, default: Any = None) -> Any:
        if self and key not in self:
            raise SentOn
        connection = super().get(key, default)
        if connection is not None and not connection.transport.connected:
            raise ConnectionResetError("the connection broke")
        return connection


class _Connection(Connection):  # type: ignore[misc]
    """smbprotocol's connection, which ends where a message is announced that is longer than any may be."""

    @property
    def transport(self) -> Any:
        return self._transport

    @transport.setter
    def transport(self, transport: Any) -> None:
        self._transport = transport
        if transport is not None:
            receive = transport._recv

            def bounded(length: int, timeout: float) -> Any:
                if length > Tcp.MAX_SIZE:
                    transport.close()
                    return None, timeout
                return receive(length, timeout)

            transport._recv = bounded
