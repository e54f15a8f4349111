"""What goes wrong on an FTP server, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

import dataclasses
import ftplib
import re
import socket
import ssl
from dataclasses import dataclass

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.ftp.listing import UnknownListing
from dinmo_pipeline.storages.intake import LimitBroken


@dataclass(frozen=True)
class Circumstances:
    """What the advice depends on: who asked, the right that it takes, where paths start, and with what somebody logged in.

    `is_in`: the server has let us in, so host, port and `tls` are right, and what is wrong with the connection may pass.
    """

    user: str
    right: str = "the right to do so"
    start: str = "the login directory"
    credentials: str = "what it was given"
    is_in: bool = False


_FULL = "the server's disk is full or the quota of the user {user} used up; ask its owner for more room"
_NO_TLS = "the server wants the connection, or its data part, secured in another way; check `tls`"
# By the code of the server's answer; of the others 4xx may pass and 5xx does not.
_ANSWERS: dict[str, tuple[type[StorageError], str]] = {
    "421": (TransientStorageError, "the server ends the connection, perhaps because there are too many; if that lasts, ask its owner"),
    "425": (TransientStorageError, "no data connection came about; ask for the passive ports to be opened, or try `passive: false`"),
    "426": (TransientStorageError, "the transfer broke off; if that lasts, the server's disk may be full: ask its owner"),
    "430": (PermanentStorageError, "the server refused the user {user} with {credentials}; correct them, or ask its owner to let them in"),
    "450": (TransientStorageError, "the file is in use; if that lasts, ask the server's owner"),
    "451": (TransientStorageError, "the server failed; if that lasts, its disk may be full: ask its owner"),
    "452": (PermanentStorageError, _FULL),
    "500": (PermanentStorageError, "the server does not know this request; ask its owner to allow it"),
    "502": (PermanentStorageError, "the server does not know this request; ask its owner to allow it"),
    "521": (PermanentStorageError, _NO_TLS),
    "522": (PermanentStorageError, _NO_TLS),
    "530": (PermanentStorageError, "the server refused the user {user} with {credentials}; correct them, or ask its owner to let them in"),
    "533": (PermanentStorageError, _NO_TLS),
    "534": (PermanentStorageError, _NO_TLS),
    "550": (
        PermanentStorageError,
        "it is missing, or a right is: check the path, relative ones start at {start}, or ask the server's owner to give the user "
        "{user} {right}",
    ),
    "552": (PermanentStorageError, _FULL),
    "553": (
        PermanentStorageError,
        "the server does not take this name, or a right is missing: ask its owner to give the user {user} {right}",
    ),
}
# The first class that an error is an instance of decides.
_BROKEN_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_BROKE_OFF_SECURED = "the secured connection broke off; if that lasts, check port and `tls`, or ask the server's owner"
_NO_ANSWER = "the server did not answer in time; check host, port, `tls` and firewall, also for the passive ports"
_BROKE_OFF = "the connection broke off; if that lasts, look at the network or ask the server's owner"
_WANTS_TLS = re.compile(r"(?i)encrypt|\btls\b|\bssl\b|secure")
# What a server says that is full, and with the code of a refused login: ProFTPD, Pure-FTPd, IIS.
_TOO_MANY = re.compile(
    r"(?i)(maximum number of|too many) (allowed |concurrent |simultaneous |anonymous )*(clients|users|connections|sessions)"
)
# Python's own words for these say the same once more.
_TOLD_BY_ADVICE = (socket.gaierror, ConnectionRefusedError, TimeoutError)
_TABLE: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], type[StorageError], str], ...] = (
    (ftplib.error_temp, TransientStorageError, "the server cannot do it now; if that lasts, ask its owner"),
    (ftplib.error_perm, PermanentStorageError, "the server refused it; ask its owner to give the user {user} {right}"),
    (ftplib.Error, PermanentStorageError, "what answers there does not speak FTP as it should; check host, port and `tls`"),
    (EOFError, TransientStorageError, "the server closed the connection; if that lasts, ask its owner"),
    (
        ssl.SSLCertVerificationError,
        PermanentStorageError,
        "the certificate does not prove that this is the server: check host, set `ca_file` to the authority that signed it, "
        "or ask the server's owner for a valid one",
    ),
    (_BROKEN_TLS, TransientStorageError, _BROKE_OFF_SECURED),
    (ssl.SSLError, PermanentStorageError, "no secured connection came about; check port and `tls`: 21 is explicit, 990 implicit"),
    (socket.gaierror, PermanentStorageError, "the host's name is not known; correct it, or look at the name service"),
    (ConnectionRefusedError, TransientStorageError, "nothing listens there; check host and port, or ask whether the server is down"),
    (TimeoutError, TransientStorageError, _NO_ANSWER),
    (OSError, TransientStorageError, _BROKE_OFF),
    (UnknownListing, PermanentStorageError, "the server lists its files in a form that is not known; ask its owner to allow MLSD"),
    (UnicodeError, PermanentStorageError, "a name or an answer is no UTF-8; choose a plainer path, or ask the server's owner to use UTF-8"),
    # ftplib's word for a line break in a name.
    (ValueError, PermanentStorageError, "the server does not take this name; choose a plainer one"),
)
FAULTS: tuple[type[BaseException], ...] = (ftplib.Error, EOFError, OSError, ValueError)


def translated(error: BaseException, what: str, circumstances: Circumstances, *, advice: str | None = None) -> StorageError:
    """Return the error as this package raises it.

    `what` was being done, what came back, what to do next (`advice` when it is known better).
    """
    if isinstance(error, StorageError):
        return error
    if isinstance(error, LimitBroken):
        return error.error(what)
    kind, usual = next((kind, advice) for cause, kind, advice in _TABLE if isinstance(error, cause))
    if isinstance(error, ftplib.error_temp | ftplib.error_perm):
        kind, usual = _ANSWERS.get(str(error)[:3], (kind, usual))
        if not circumstances.is_in and _TOO_MANY.search(str(error)):
            kind, usual = TransientStorageError, "the server has too many guests now; if that lasts, ask its owner"
        elif str(error).startswith("530") and _WANTS_TLS.search(str(error)):
            usual = _NO_TLS
    elif _broke_off(error, circumstances):
        kind, usual, advice = TransientStorageError, _BROKE_OFF, None
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        kind, usual = TransientStorageError, "the name service did not answer; try again later"
    found = "" if isinstance(error, _TOLD_BY_ADVICE) else f"{_found(error)}; "
    return kind(f"{what}: {found}{(advice or usual).format_map(dataclasses.asdict(circumstances))}")


def _broke_off(error: BaseException, circumstances: Circumstances) -> bool:
    """Return whether it is the end of a connection that worked, whatever the library makes of it.

    It may make of it half an answer, or a broken record of TLS.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, ssl.SSLError | ftplib.Error):
        return circumstances.is_in
    # Python's words for what is done to a socket or a stream that is closed already.
    return type(error) is ValueError and "closed" in str(error)


def _found(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "verify_message", None) or str(error)
    if isinstance(error, ssl.SSLError):
        # Python's own ones have no reason.
        return getattr(error, "reason", None) or error.strerror or str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
