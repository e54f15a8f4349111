"""An open FTP connection as a storage."""

from __future__ import annotations

import ftplib
import posixpath
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from types import TracebackType

from dinmo_pipeline.errors import StorageError, TransientStorageError
from dinmo_pipeline.storages.base import NO_SIZE, Listing, RemoteFile, Storage, unread_line
from dinmo_pipeline.storages.ftp.commands import FtpCommands
from dinmo_pipeline.storages.ftp.errors import FAULTS, Circumstances, translated
from dinmo_pipeline.storages.ftp.listing import Entry
from dinmo_pipeline.storages.intake import ListingCount, TransferCount, counted
from dinmo_pipeline.storages.permissions import DELETE, LIST, LOOK, MAKE_FOLDER, MOVE, OVERWRITE, READ, WRITE, Action, LocalFile

_MOST_TIMES_ASKED = 1_000
"""In a folder of more files the dates of the listing must do: each time that is asked for is a request."""


class FtpServer(Storage):
    """A logged-in FTP connection. A move is one step where the server renames over a file; elsewhere the old one is removed just before.

    `where` is what errors call the server.
    """

    def __init__(self, commands: FtpCommands, *, user: str, where: str, moves: bool) -> None:
        self.moves = moves
        self._commands = commands
        self._user = user
        self._where = where

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._commands.close(politely=error is None)

    def make_folder(self, remote_folder: str) -> None:
        with self._translating(MAKE_FOLDER, remote_folder):
            self._commands.make_folder(remote_folder)

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        with LocalFile(local_path, "rb") as source:
            with self._translating(WRITE, remote_path):
                self._commands.upload(self._begin_upload(remote_path), source)
                found = self._commands.size(remote_path)
            # An account that may write and not look is told nothing: there the server's word that all has arrived must do.
            if found is not None and found != source.size:
                raise TransientStorageError(
                    f"wrote {source.size:,} bytes to {remote_path} on {self._where}, then found {found:,}; "
                    "something else writes there, or the server lost some"
                )

    def read(self, remote_path: str, local_path: Path) -> None:
        self._read(remote_path, local_path, None)

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        self._read(remote_path, local_path, size)

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        received = 0

        def write(block: bytes) -> None:
            nonlocal received
            count.add(len(block))
            target.write_at(received, block)
            received += len(block)

        with LocalFile(local_path, "wb") as target, self._translating(READ, remote_path):
            count = TransferCount(target.stream.fileno(), self._commands.limits, listed=listed_size)
            expected = self._commands.size(remote_path)
            count.expect(expected)
            self._commands.download(f"RETR {remote_path}", write, count)
        if expected is not None and received < expected:
            raise TransientStorageError(
                f"read {received:,} bytes of {remote_path} on {self._where}, which should have {expected:,}; "
                "something else writes there, or the connection broke off"
            )

    def stat(self, remote_path: str) -> RemoteFile | None:
        with self._translating(LOOK, remote_path):
            found = self._commands.find(remote_path)
            return None if found is None else _remote_file(found)

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, target_path):
            self._commands.rename(remote_path, target_path)

    def delete(self, remote_path: str) -> None:
        with self._translating(DELETE, remote_path):
            self._commands.delete(remote_path)

    def list(self, remote_folder: str) -> Listing:
        with self._translating(LIST, remote_folder):
            entries = self._commands.entries(remote_folder)
            unread = [*entries.unread]
            # What the listing leaves out is asked for file by file, which takes its time, too.
            files = counted(self._files(remote_folder, entries.found, unread), ListingCount(self._commands.limits))
            return Listing(files, unread=unread, is_missing=entries.is_missing)

    def _files(self, remote_folder: str, entries: tuple[Entry, ...], unread: MutableSequence[str]) -> Iterator[RemoteFile]:
        asks_time = len(entries) <= _MOST_TIMES_ASKED
        for entry in entries:
            path = posixpath.join(remote_folder, entry.name)
            if entry.kind == "link":
                targets = ((name, self._commands.find(posixpath.join(remote_folder, name))) for name in entry.names)
                if (target := next(((name, found) for name, found in targets if found is not None), None)) is not None:
                    yield from _told(replace(_remote_file(target[1]), name=target[0], is_link=True), unread)
            elif entry.kind == "file" or (entry.kind == "unknown" and not self._commands.enters(path)):
                yield from _told(_remote_file(self._commands.completed(path, entry, asks_time=asks_time)), unread)

    def _begin_upload(self, remote_path: str) -> socket:
        try:
            return self._commands.begin_upload(remote_path)
        except ftplib.error_perm as error:
            # The server's answer is the same for all of these.
            folder = posixpath.dirname(remote_path) or "."
            if not self._commands.enters(folder):
                advice = f"the folder {folder} is missing, or may not be entered: make it, or correct the path; "
                raise self._translated(error, WRITE, remote_path, advice=advice + "relative ones start at {start}") from error
            if self._commands.find(remote_path) is not None:
                raise self._translated(error, OVERWRITE, remote_path) from error
            raise

    @contextmanager
    def _translating(self, action: Action, remote_path: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            raise self._translated(error, action, remote_path) from error

    def _translated(self, error: BaseException, action: Action, remote_path: str, *, advice: str | None = None) -> StorageError:
        right = action.missing_right(remote_path)
        circumstances = Circumstances(user=self._user, right=right, start=self._commands.start, is_in=True)
        return translated(error, action.described(remote_path, self._where), circumstances, advice=advice)


def _remote_file(entry: Entry) -> RemoteFile:
    return RemoteFile(name=entry.name, size=entry.size, modified=entry.modified)


def _told(file: RemoteFile, unread: MutableSequence[str]) -> Iterator[RemoteFile]:
    if file.size is None:
        unread.append(unread_line(file.name, NO_SIZE))
    else:
        yield file
