"""An open remote file whose reads may be shared by threads."""

from __future__ import annotations

import io
import threading
from typing import Any

from asyncssh.sftp import MAX_SFTP_READ_LEN
from sshfs.file import SSHFile

from dinmo_pipeline.storages.event_loop import run_on
from dinmo_pipeline.storages.sftp.channels import answered
from dinmo_pipeline.storages.sftp.transfers import read_at


class SftpFile(SSHFile):  # type: ignore[misc]
    """sshfs's file, which reads by offset: a thread's `seek` counts for its own next `read`, and for that of nobody else in between.

    Threads that share one handle, as DuckDB's do, read each other's blocks with sshfs's own, which keeps one position on its event loop.
    """

    def __init__(self, fs: Any, path: str, mode: str = "rb", **options: Any) -> None:
        super().__init__(fs, path, mode, **options)
        self._position = 0
        self._lock = threading.Lock()
        self._sought = threading.local()

    def _determine_block_size(self, channel: Any) -> int:
        # A server may say anything of its limits.
        told: int = super()._determine_block_size(channel)
        return max(1, min(told, MAX_SFTP_READ_LEN))

    def writable(self) -> bool:
        return str(self.mode) != "rb"

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self.writable():
            return int(super().seek(offset, whence))
        base = {io.SEEK_SET: lambda: 0, io.SEEK_CUR: self.tell, io.SEEK_END: self._size}[whence]()
        self._position = self._sought.position = base + offset
        return base + offset

    def tell(self) -> int:
        if self.writable():
            return int(super().tell())
        sought: int | None = getattr(self._sought, "position", None)
        return self._position if sought is None else sought

    def read(self, size: int = -1) -> bytes:
        if self.writable():
            content: bytes = super().read(size)
            return content
        with self._lock:
            start, self._sought.position = self.tell(), None
            block = run_on(self.loop, read_at(self._file, start, None if size is None or size < 0 else size))
            self._position = start + len(block)
            return block

    def _size(self) -> int:
        size: int | None = run_on(self.loop, answered(self._file.stat())).size
        return size or 0
