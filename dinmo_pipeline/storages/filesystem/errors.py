"""What goes wrong in a library that nobody here has seen, told by what Python, HTTP and SMB call it and not by the library's own words."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.object_store.errors import (
    PASSING_STATUS,
    REDIRECTS,
    Cause,
    connection_cause,
    first_cause_first,
    redirect_cause,
)

_MOST_SHOWN = 300
_RIGHT = "ask its owner to give this account {right}"
_MISSING = "it is missing: check the path and the url"
_FULL = "the disk is full or a quota used up; ask its owner for more room"
_IN_USE = "somebody holds the file open; if that lasts, ask its owner who"
_BUSY = "if that lasts, ask its owner"
_LOGIN = "the server refused the account; correct the options, or ask its owner to let it in"
_NAME = "the server takes no such name; choose a plainer one"
_IN_THE_WAY = "a folder stands where a file belongs, or a file where a folder belongs: move it away, or correct the path"

_ERRNO: Mapping[int, tuple[str, bool]] = {
    **dict.fromkeys((errno.ENOENT,), (_MISSING, False)),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), (_RIGHT, False)),
    **dict.fromkeys((errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY), (_IN_THE_WAY, False)),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), (_FULL, False)),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EILSEQ), (_NAME, False)),
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY), (_IN_USE, True)),
}
_NTSTATUS: Mapping[int, tuple[str, str, bool]] = {
    0xC0000022: ("access denied", f"{_RIGHT}, or see who holds the file open", False),
    0xC0000033: ("the name is not valid", _NAME, False),
    0xC000003B: ("the path is not valid", _NAME, False),
    0xC0000043: ("sharing violation", _IN_USE, True),
    0xC0000056: ("a deletion is pending", _IN_USE, True),
    0xC000006A: ("wrong password", _LOGIN, False),
    0xC000006D: ("logon failure", _LOGIN, False),
    0xC0000071: ("the password has expired", _LOGIN, False),
    0xC000007F: ("the disk is full", _FULL, False),
    0xC00000CC: ("there is no such share", "correct the url", False),
    0xC00000C9: ("the share is gone", _BUSY, True),
    0xC0000203: ("the session has ended", _BUSY, True),
    # Where the share is a part of DFS, and the folder on another server.
    0xC0000257: ("the server sends to another one (DFS), which is not followed", "name that server and its share in the url", False),
    0xC0000466: ("the server is not available", _BUSY, True),
}
_HTTP: Mapping[int, str] = {
    401: _LOGIN,
    403: _RIGHT,
    404: _MISSING,
    405: "the server does not do this there; check the url",
    409: "a folder above it is missing: check the path and the url",
    412: _IN_THE_WAY,
    413: "the server takes no file of this size; ask its owner, or deliver in parts",
    507: _FULL,
}
_NETWORK = ("timeout", "connect", "network", "protocol", "transport", "disconnect", "ssl")
_LOCKED = 423


class SentOn(Exception):
    """The server sends to another host, where nobody goes with this login."""


class NameRefused(ValueError):
    """A name that a filesystem would take for something else."""


def is_missing(error: BaseException) -> bool:
    """Whether the error says that there is nothing of this name."""
    return isinstance(error, FileNotFoundError | NotADirectoryError) or (
        isinstance(error, OSError) and error.errno in {errno.ENOENT, errno.ENOTDIR}
    )


def is_in_the_way(error: BaseException) -> bool:
    """Whether the error says that there is something of this name already."""
    return isinstance(error, FileExistsError) or (isinstance(error, OSError) and error.errno == errno.EEXIST)


def cause_of(error: BaseException, *, right: str = "the right to do so") -> Cause:
    """Return what the error of a library means; `right` is what it takes to do what was asked for."""
    faults = list(first_cause_first(error))
    for cause in (_smb_cause, _http_cause, _system_cause):
        for fault in faults:
            if (found := cause(fault)) is not None:
                return Cause(found.found, found.advice.format(right=right), found.transient)
    if any(isinstance(fault, SentOn) for fault in faults):
        return redirect_cause()
    if isinstance(error, NameRefused):
        return Cause(str(error), _NAME)
    # What fsspec's base class raises for a method that a filesystem does not have.
    if isinstance(error, NotImplementedError):
        return Cause("this fsspec filesystem cannot do that", "deliver elsewhere, or ask those who make its package")
    if isinstance(error, ImportError):
        return Cause(f"a package is missing: {_text(error)}", "install it in this project's environment")
    if isinstance(error, TypeError | ValueError | LookupError | AttributeError):
        return Cause(f"its fsspec filesystem failed: {_text(error)}", "check the url and the options against its documentation")
    # Nobody knows what else a library may raise: another try costs time and nothing else.
    return Cause(
        f"its fsspec filesystem failed: {_text(error)}", "if that lasts, check the url, the options and the server", transient=True
    )


def storage_error(what: str, cause: Cause) -> StorageError:
    """Return the error as this package raises it: `what` was being done."""
    kind = TransientStorageError if cause.transient else PermanentStorageError
    return kind(f"{what}: {cause.found}; {cause.advice}")


def _smb_cause(fault: BaseException) -> Cause | None:
    status = getattr(fault, "ntstatus", None) or getattr(fault, "status", None)
    known = _NTSTATUS.get(status) if isinstance(status, int) else None
    if known is not None:
        return Cause(*known)
    # spnego and smbprotocol word a refused login in many ways.
    return Cause(_text(fault), _LOGIN) if type(fault).__name__ in {"SMBAuthenticationError", "SpnegoError"} else None


def _http_cause(fault: BaseException) -> Cause | None:
    answer = getattr(fault, "response", None)
    status = next((each for each in (_status(answer), _status(fault)) if each is not None), None)
    if status is None:
        return None
    if status in REDIRECTS:
        return redirect_cause(status)
    if status == _LOCKED:
        return Cause("the server answered 423, the file is locked", _IN_USE, transient=True)
    passes = status in PASSING_STATUS or (status not in _HTTP and status >= 500)
    return Cause(f"the server answered {status}", _HTTP.get(status, _BUSY if passes else "ask its owner why"), transient=passes)


def _status(carrier: object) -> int | None:
    for name in ("status_code", "status", "code"):
        value = getattr(carrier, name, None)
        if isinstance(value, int) and 300 <= value < 600:
            return int(value)
    return None


def _system_cause(fault: BaseException) -> Cause | None:
    names = " ".join(each.__name__.lower() for each in type(fault).__mro__ if each.__module__ != "builtins")
    is_network = isinstance(fault, ConnectionError | TimeoutError | ssl.SSLError | socket.gaierror | EOFError)
    if is_network or (any(word in names for word in _NETWORK) and not isinstance(fault, ImportError)):
        return connection_cause(fault)
    if not isinstance(fault, OSError):
        return None
    # Many libraries raise the class with a text of their own and no number.
    number = fault.errno or next((code for kind, code in _KINDS.items() if isinstance(fault, kind)), 0)
    known = _ERRNO.get(number)
    if known is None:
        return connection_cause(fault) if fault.errno else None
    return Cause((fault.strerror if fault.errno else None) or _text(fault), *known)


_KINDS: Mapping[type[OSError], int] = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    FileExistsError: errno.EEXIST,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}


def _text(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _MOST_SHOWN else f"{said[:_MOST_SHOWN]}…"
