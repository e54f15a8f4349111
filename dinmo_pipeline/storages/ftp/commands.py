"""What is asked of an FTP server, with whatever commands it knows: MLST or SIZE or a listing, MLSD or LIST. Raises ftplib's errors."""

from __future__ import annotations

import ftplib
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from socket import SHUT_RDWR, socket

from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.ftp.client import PlainFtp
from dinmo_pipeline.storages.ftp.data_connection import FAREWELL_SECONDS, IDLE_SECONDS, received, say_goodbye
from dinmo_pipeline.storages.ftp.listing import (
    Entries,
    Entry,
    UnreadLine,
    listed_entries,
    machine_entries,
    machine_entry,
    number,
    timestamp,
)
from dinmo_pipeline.storages.intake import LimitBroken, ListingCount, TransferCount
from dinmo_pipeline.storages.permissions import MOVE_ATTEMPTS, LocalFile

_BLOCK = 512 * 1024
_UNKNOWN_REQUEST = ("500", "501", "502", "504")
_MACHINE_LISTINGS = frozenset({"MLST", "MLSD"})
# Answers about one file, which another program may hold; any other temporary one is about the connection.
_FILE_IS_BUSY = ("450", "451")
_LINE_END = re.compile("\r?\n")


class FtpCommands:
    """Requests on a logged-in connection in binary mode, whose current folder is `start`. `features` are the names that FEAT gave."""

    def __init__(self, ftp: PlainFtp, *, features: frozenset[str], start: str, limits: IntakeLimits) -> None:
        self.start = start
        self.limits = limits
        self._ftp = ftp
        self._features = features
        self._tells_times = True
        self._wait_at_most(IDLE_SECONDS)

    def close(self, *, politely: bool) -> None:
        """Close the connection, saying so to a server that still listens."""
        with suppress(ftplib.Error, OSError, EOFError, ValueError):
            if politely:
                self._wait_at_most(FAREWELL_SECONDS)
                self._ftp.quit()
        self._ftp.close()

    def begin_upload(self, remote_path: str) -> socket:
        """Return the data connection that the file's bytes go to."""
        return self._ftp.transfercmd(f"STOR {remote_path}")

    def upload(self, connection: socket, source: LocalFile) -> None:
        """Send the whole file; it is there when this returns."""
        try:
            with connection:
                connection.settimeout(IDLE_SECONDS)
                for position in range(0, source.size, _BLOCK):
                    connection.sendall(source.read_at(position, min(_BLOCK, source.size - position)))
                say_goodbye(connection)
        except OSError:
            # When it was the server that hung up, its answer says why: a full disk, say.
            self._wait_at_most(FAREWELL_SECONDS)
            self._ftp.voidresp()
            raise
        self._ftp.voidresp()

    def download(self, command: str, consume: Callable[[bytes], None], count: TransferCount | ListingCount) -> str:
        """Hand on the bytes that the command brings, and return the server's last word.

        `count` says for how long they may come. LimitBroken where that is over, or where `consume` raises it.
        """
        try:
            with self._ftp.transfercmd(command) as connection:
                while block := received(connection, count):
                    consume(block)
                say_goodbye(connection)
        except LimitBroken:
            self._hear_out()
            raise
        return self._ftp.voidresp()

    def rename(self, remote_path: str, target_path: str) -> None:
        """Rename over the target, or remove that first where the server refuses."""
        for attempt in range(MOVE_ATTEMPTS):
            try:
                self._ftp.rename(remote_path, target_path)
                return
            except ftplib.error_perm:
                if attempt == MOVE_ATTEMPTS - 1:
                    raise
            if attempt == 0:
                # Only if it may be renamed at all, so that a file in the way is the reason, may the old one go.
                self._ftp.rename(remote_path, f"{remote_path}~")
                self._ftp.rename(f"{remote_path}~", remote_path)
            # Whether it went is for the next try to say: another delivery may have taken it away, and put its own there since.
            with suppress(ftplib.error_perm):
                self._ftp.delete(target_path)

    def delete(self, remote_path: str) -> None:
        """Delete the file; fine when there is none."""
        try:
            self._ftp.delete(remote_path)
        except ftplib.error_perm:
            if self.find(remote_path) is not None:
                raise

    def make_folder(self, remote_folder: str) -> None:
        """Make the folder and its parents."""
        if self.enters(remote_folder):
            return
        parent = posixpath.dirname(remote_folder)
        if parent not in {remote_folder, ""}:
            self.make_folder(parent)
        try:
            self._ftp.mkd(remote_folder)
        except ftplib.error_perm:
            # Another delivery may have made it in between.
            if not self.enters(remote_folder):
                raise

    def enters(self, remote_folder: str) -> bool:
        """Return whether the folder exists and may be entered."""
        try:
            with self._inside(remote_folder):
                return True
        except ftplib.error_perm:
            return False

    def size(self, remote_path: str) -> int | None:
        """Return the file's size, or None when there is none or the account may not know."""
        try:
            return self._size(remote_path)
        except ftplib.error_perm as error:
            if not str(error).startswith(_UNKNOWN_REQUEST):
                return None
        with suppress(ftplib.error_perm):
            found = self.find(remote_path)
            return None if found is None else found.size
        return None

    def find(self, remote_path: str) -> Entry | None:
        """Return the file with all that the server tells of it, or None; a folder is none."""
        name = posixpath.basename(remote_path)
        if "MLST" in self._features:
            try:
                answer = _LINE_END.split(self._ftp.sendcmd(f"MLST {remote_path}"))
            except ftplib.error_perm:
                return None
            with suppress(UnreadLine, IndexError):
                entry = machine_entry(answer[1].removeprefix(" "))
                return None if entry is None else self._as_a_file(remote_path, replace(entry, name=name))
        try:
            return Entry(name=name, kind="file", size=self._size(remote_path), modified=self._modified(remote_path))
        except ftplib.error_perm as error:
            if not str(error).startswith(_UNKNOWN_REQUEST):
                return None
        there = self.entries(posixpath.dirname(remote_path)).found
        return next((entry for entry in there if entry.name == name and entry.kind == "file"), None)

    def entries(self, remote_folder: str) -> Entries:
        """Return all that is in the folder; nothing when the folder is missing."""
        try:
            return self._machine_entries(remote_folder) if self._features & _MACHINE_LISTINGS else self._listed_entries(remote_folder)
        except ftplib.error_perm as error:
            if self._features & _MACHINE_LISTINGS and str(error).startswith(_UNKNOWN_REQUEST):
                # It was announced, and is not there: FEAT may be another machine's.
                self._features -= _MACHINE_LISTINGS
                return self.entries(remote_folder)
            # The server's answer is the same for what is missing and for what is forbidden.
            if self._is_missing(remote_folder):
                return Entries((), is_missing=True)
            raise

    def completed(self, remote_path: str, entry: Entry, *, asks_time: bool = True) -> Entry:
        """Return the entry with the size that its line left out, and its time to the second, where the server tells them otherwise.

        The date of a LIST is that of a minute or a day, in a zone that nobody knows, and is written in another way when it is old.
        """
        if entry.size is None:
            entry = replace(entry, size=self._told_size(remote_path))
        if asks_time and not entry.is_exact and (modified := self._modified(remote_path)) is not None:
            entry = replace(entry, modified=modified, is_exact=True)
        return entry

    def _as_a_file(self, remote_path: str, entry: Entry) -> Entry | None:
        if entry.kind not in {"file", "link", "unknown"} or (entry.kind == "unknown" and self.enters(remote_path)):
            return None
        return self.completed(remote_path, entry)

    def _machine_entries(self, remote_folder: str) -> Entries:
        lines, _ = self._lines(f"MLSD {remote_folder or '.'}")
        return machine_entries(lines)

    def _listed_entries(self, remote_folder: str) -> Entries:
        # From inside: a name in the command could be taken for options.
        with self._inside(remote_folder):
            try:
                # Without the option vsftpd hides names that begin with a dot.
                lines, answer = self._lines("LIST -a")
            except ftplib.error_perm:
                lines, answer = [], ""
            if not any(lines):
                lines, answer = self._lines("LIST")
        if "failed to open directory" in answer:
            # vsftpd's way to say it: a success.
            raise ftplib.error_perm(f"550 {answer[4:]}")
        return listed_entries(lines, datetime.now(UTC))

    def _lines(self, command: str) -> tuple[list[str], str]:
        data, count = bytearray(), ListingCount(self.limits)

        def consume(block: bytes) -> None:
            count.add_bytes(len(block))
            count.add_entries(block.count(b"\n"))
            data.extend(block)

        answer = self.download(command, consume, count)
        return _LINE_END.split(data.decode("utf-8", "surrogateescape")), answer

    def _is_missing(self, remote_folder: str) -> bool:
        folder = remote_folder.rstrip("/")
        name = posixpath.basename(folder)
        if name in {"", ".", ".."}:
            return False
        return all(name not in entry.names for entry in self.entries(posixpath.dirname(folder)).found)

    @contextmanager
    def _inside(self, remote_folder: str) -> Iterator[None]:
        self._ftp.cwd(remote_folder or ".")
        try:
            yield
        finally:
            self._ftp.cwd(self.start)

    def _size(self, remote_path: str) -> int | None:
        return number(self._ftp.sendcmd(f"SIZE {remote_path}").partition(" ")[2].strip())

    def _told_size(self, remote_path: str) -> int | None:
        try:
            return self._size(remote_path)
        except (ftplib.error_perm, ftplib.error_temp) as error:
            _raise_unless_about_the_file(error)
            return None

    def _modified(self, remote_path: str) -> datetime | None:
        if not self._tells_times:
            return None
        try:
            return timestamp(self._ftp.sendcmd(f"MDTM {remote_path}").partition(" ")[2].strip())
        except (ftplib.error_perm, ftplib.error_temp) as error:
            self._tells_times = not str(error).startswith(_UNKNOWN_REQUEST)
            _raise_unless_about_the_file(error)
            return None

    def _hear_out(self) -> None:
        """Take what the server says of a transfer that was broken off: the next reply is that of the next request.

        The connection is over where it says nothing.
        """
        self._wait_at_most(FAREWELL_SECONDS)
        try:
            self._ftp.getmultiline()
        except (ftplib.Error, OSError, EOFError, ValueError):
            with suppress(OSError):
                if self._ftp.sock is not None:
                    self._ftp.sock.shutdown(SHUT_RDWR)
        self._wait_at_most(IDLE_SECONDS)

    def _wait_at_most(self, seconds: float) -> None:
        self._ftp.reply_seconds = seconds
        if self._ftp.sock is not None:
            self._ftp.sock.settimeout(seconds)


def _raise_unless_about_the_file(error: ftplib.error_perm | ftplib.error_temp) -> None:
    if isinstance(error, ftplib.error_temp) and not str(error).startswith(_FILE_IS_BUSY):
        raise error
