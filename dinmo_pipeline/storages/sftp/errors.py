"""What goes wrong on an SFTP server, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from dataclasses import dataclass

import asyncssh

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.intake import LimitBroken


@dataclass(frozen=True)
class Circumstances:
    """What the advice depends on: who asked, the right that it takes, where paths start; while logging in, with what and which host key.

    `is_in`: the server has let us in, so host and port are right, and what is wrong with the connection may pass.
    """

    user: str
    right: str = "the right to do so"
    start: str = "relative ones start at the login directory"
    credentials: str = "what it was given"
    host_key: str = "the server changed its host key; ask its owner"
    is_in: bool = False


_BROKE_OFF = "the connection broke off; if that lasts, look at the network or ask the server's owner"
_NEVER_CAME = (
    "the connection broke off before anybody was let in: check that host and port are an SSH server's; "
    "if they are, look at the network or ask the server's owner"
)
_FULL = re.compile(r"no space|disk.*full|quota", re.IGNORECASE)
# Python's own words for these say the same once more.
_TOLD_BY_ADVICE = (socket.gaierror, ConnectionRefusedError, TimeoutError)
# The first class that an error is an instance of decides; the words in braces are Circumstances.
_TABLE: tuple[tuple[type[BaseException], type[StorageError], str], ...] = (
    (asyncssh.SFTPPermissionDenied, PermanentStorageError, "ask the server's owner to give the user {user} {right}"),
    (asyncssh.SFTPWriteProtect, PermanentStorageError, "the server's disk is mounted read-only; ask its owner to make it writable"),
    (asyncssh.SFTPCannotDelete, PermanentStorageError, "ask the server's owner to give the user {user} {right}"),
    (asyncssh.SFTPNoSuchFile, PermanentStorageError, "the folder or file is missing; make it, or correct the path: {start}"),
    (asyncssh.SFTPNoSuchPath, PermanentStorageError, "the folder is missing; make it, or correct the path: {start}"),
    (asyncssh.SFTPNotADirectory, PermanentStorageError, "a file stands where a folder is needed; move it away, or correct the path"),
    (asyncssh.SFTPFileIsADirectory, PermanentStorageError, "a folder stands where the file belongs; move it away, or choose another name"),
    (asyncssh.SFTPNoSpaceOnFilesystem, PermanentStorageError, "the server's disk is full; ask its owner to free some room"),
    (asyncssh.SFTPQuotaExceeded, PermanentStorageError, "the quota of the user {user} is used up; ask the server's owner for more room"),
    (asyncssh.SFTPInvalidFilename, PermanentStorageError, "the server does not take this name; choose a shorter or plainer one"),
    # What OpenSSH answers to a name that its disk does not take.
    (asyncssh.SFTPBadMessage, PermanentStorageError, "the server does not take this name; choose a shorter or plainer one"),
    (asyncssh.SFTPOpUnsupported, PermanentStorageError, "the server does not know this request; ask its owner to allow it"),
    (
        asyncssh.SFTPConnectionLost,
        TransientStorageError,
        _BROKE_OFF,
    ),
    (
        asyncssh.SFTPNoConnection,
        TransientStorageError,
        _BROKE_OFF,
    ),
    (
        asyncssh.SFTPError,
        TransientStorageError,
        "the server does not say why: its disk or a quota may be full, or another program may hold the file; if it lasts, ask its owner",
    ),
    (
        asyncssh.PermissionDenied,
        PermanentStorageError,
        "the server refused the user {user} with {credentials}; correct them, or ask the server's owner to let them in",
    ),
    (asyncssh.HostKeyNotVerifiable, PermanentStorageError, "{host_key}"),
    (asyncssh.KeyExchangeFailed, PermanentStorageError, "the server and this client share no algorithm, or {host_key}"),
    (asyncssh.ProtocolNotSupported, PermanentStorageError, "what answers there is no SSH 2 server; check host and port"),
    (asyncssh.ProtocolError, PermanentStorageError, "what answers there does not speak SSH as it should; check host and port"),
    (asyncssh.ChannelOpenError, PermanentStorageError, "the server lets the user {user} in, but not use SFTP; ask its owner to allow it"),
    (asyncssh.Error, TransientStorageError, _BROKE_OFF),
    (socket.gaierror, PermanentStorageError, "the host's name is not known; correct it, or look at the name service"),
    (ConnectionRefusedError, TransientStorageError, "nothing listens there; check host and port, or ask whether the server is down"),
    (TimeoutError, TransientStorageError, "the server did not answer in time; check host, port and firewall"),
    (OSError, TransientStorageError, _BROKE_OFF),
    # The library raises it for a name that it cannot encode and for a connection that was closed meanwhile.
    (ValueError, PermanentStorageError, "the request could not be made; check the path"),
)


def translated(error: BaseException, what: str, circumstances: Circumstances) -> StorageError:
    """Return the error as this package raises it: `what` was being done, what came back, what to do next."""
    if isinstance(error, StorageError):
        return error
    if isinstance(error, LimitBroken):
        return error.error(what)
    if isinstance(error, OSError) and isinstance(error.__cause__, asyncssh.Error):
        # sshfs makes an error of the operating system of some, which says less.
        error = error.__cause__
    kind, advice = next((kind, advice) for cause, kind, advice in _TABLE if isinstance(error, cause))
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        kind, advice = TransientStorageError, "the name service did not answer; try again later"
    if advice is _BROKE_OFF and not circumstances.is_in:
        advice = _NEVER_CAME
    if type(error) is asyncssh.SFTPFailure and _FULL.search(error.reason):
        kind, advice = next((kind, advice) for cause, kind, advice in _TABLE if cause is asyncssh.SFTPNoSpaceOnFilesystem)
    if _broke_off(error, circumstances):
        kind, advice = TransientStorageError, _BROKE_OFF
    elif isinstance(error, asyncssh.ProtocolError) and "authentication failures" in str(error):
        # OpenSSH's word to a client that has offered too many keys.
        kind, advice = next((kind, advice) for cause, kind, advice in _TABLE if cause is asyncssh.PermissionDenied)
    found = "" if isinstance(error, _TOLD_BY_ADVICE) else f"{_found(error)}; "
    return kind(f"{what}: {found}{advice.format_map(dataclasses.asdict(circumstances))}")


def _broke_off(error: BaseException, circumstances: Circumstances) -> bool:
    """Return whether it is the end of a connection, whatever the library makes of it."""
    if isinstance(error, asyncssh.ChannelOpenError):
        return "closed" in error.reason or error.code == asyncssh.OPEN_RESOURCE_SHORTAGE
    if isinstance(error, asyncssh.DisconnectError):
        return circumstances.is_in
    return type(error) is ValueError and "closed" in str(error)


def disk_full(what: str, free: int) -> PermanentStorageError:
    """Return the translation of a failed write where the server says how much room is left."""
    return PermanentStorageError(f"{what}: the server's disk is full, {free:,} bytes are free; ask its owner to free some room")


FAULTS: tuple[type[BaseException], ...] = tuple(cause for cause, _, _ in _TABLE)


def _found(error: BaseException) -> str:
    if isinstance(error, asyncssh.Error):
        return error.reason or type(error).__name__
    if isinstance(error, ConnectionError) and error.errno:
        # The library's own words show a tuple of Python.
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
