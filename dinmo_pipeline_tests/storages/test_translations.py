"""Every fault that the libraries know becomes one of this package's errors, with an advice that says something."""

from __future__ import annotations

import errno
import ftplib
import inspect
import socket
import ssl
from collections.abc import Callable

import asyncssh
import pytest

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.ftp import errors as ftp_errors
from dinmo_pipeline.storages.object_store.errors import connection_cause
from dinmo_pipeline.storages.sftp import errors as sftp_errors

_RAISED = (asyncssh.SFTPError, asyncssh.DisconnectError, asyncssh.ChannelOpenError)
SFTP_FAULTS = [kind for _, kind in inspect.getmembers(asyncssh, inspect.isclass) if issubclass(kind, _RAISED)]
NETWORK = [
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), PermanentStorageError),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), TransientStorageError),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), TransientStorageError),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), TransientStorageError),
    (OSError(errno.EHOSTUNREACH, "No route to host"), TransientStorageError),
    (TimeoutError(), TransientStorageError),
    (UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid"), PermanentStorageError),
]
FTP = [
    (ftplib.error_temp("421 Too many users"), TransientStorageError),
    (ftplib.error_temp("425 Can't open data connection"), TransientStorageError),
    (ftplib.error_temp("450 Busy"), TransientStorageError),
    (ftplib.error_temp("452 Insufficient storage"), PermanentStorageError),
    (ftplib.error_temp("499 Unheard of"), TransientStorageError),
    (ftplib.error_perm("522 session reuse required"), PermanentStorageError),
    (ftplib.error_perm("530 Login incorrect"), PermanentStorageError),
    (ftplib.error_perm("552 Quota exceeded"), PermanentStorageError),
    (ftplib.error_perm("599 Unheard of"), PermanentStorageError),
    (ftplib.error_proto("HTTP/1.1 400 Bad Request"), PermanentStorageError),
    (EOFError(), TransientStorageError),
    (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), TransientStorageError),
    (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF)"), TransientStorageError),
    (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), PermanentStorageError),
    (ftplib.error_perm("530 Sorry, the maximum number of allowed clients (1) are already connected"), TransientStorageError),
    (ftplib.error_perm("530 Too many failed logins, try again later"), PermanentStorageError),
    (ValueError("Read on closed or unwrapped SSL socket."), TransientStorageError),
    (ValueError("an illegal newline character should not be contained"), PermanentStorageError),
]
# On a connection that has let us in nothing is wrong with host, port and `tls`.
FTP_IS_IN = [
    (ssl.SSLError(1, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), TransientStorageError),
    (ssl.SSLError(1, "PROTOCOL_IS_SHUTDOWN"), TransientStorageError),
    (ssl.SSLCertVerificationError(1, "self-signed certificate"), PermanentStorageError),
    (ftplib.error_proto("22"), TransientStorageError),
    (ftplib.error_perm("550 Permission denied"), PermanentStorageError),
]
SFTP_IS_IN = [
    (asyncssh.ProtocolError("bad packet"), TransientStorageError),
    (asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "SSH connection closed"), TransientStorageError),
    (ValueError("I/O operation on closed file"), TransientStorageError),
    (asyncssh.SFTPPermissionDenied("no"), PermanentStorageError),
]
OBJECTS = [
    (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
    (ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac"), True),
    (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), False),
    (ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] alert"), False),
    (ssl.SSLCertVerificationError(1, "self-signed certificate"), False),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), True),
]


@pytest.mark.parametrize("kind", SFTP_FAULTS)
def test_fault_of_asyncssh_is_translated(kind: Callable[..., asyncssh.Error]) -> None:
    parameters = [name for name, each in inspect.signature(kind).parameters.items() if each.default is each.empty]
    fault = kind(*(4 if name == "code" else [] if name == "names" else "the cause" for name in parameters))
    check(sftp_errors.translated(fault, "could not do it", sftp_errors.Circumstances(user="shop")))


@pytest.mark.parametrize(("fault", "kind"), NETWORK, ids=str)
def test_fault_of_the_network_is_translated_alike_by_both(fault: Exception, kind: type[StorageError]) -> None:
    for error in (
        sftp_errors.translated(fault, "could not do it", sftp_errors.Circumstances(user="shop")),
        ftp_errors.translated(fault, "could not do it", ftp_errors.Circumstances(user="shop")),
    ):
        assert type(error) is kind
        check(error)


@pytest.mark.parametrize(("fault", "kind"), FTP, ids=str)
def test_fault_of_ftp_is_translated(fault: Exception, kind: type[StorageError]) -> None:
    error = ftp_errors.translated(fault, "could not do it", ftp_errors.Circumstances(user="shop"))
    assert type(error) is kind
    check(error)


@pytest.mark.parametrize(("fault", "kind"), FTP_IS_IN, ids=str)
def test_fault_of_an_ftp_connection_that_worked_is_none_of_its_settings(fault: Exception, kind: type[StorageError]) -> None:
    error = ftp_errors.translated(fault, "could not do it", ftp_errors.Circumstances(user="shop", is_in=True))
    assert type(error) is kind
    check(error)


@pytest.mark.parametrize(
    ("fault", "is_in", "told"),
    [
        (
            asyncssh.ConnectionLost("Connection lost"),
            False,
            "Connection lost; the connection broke off before anybody was let in: check",
        ),
        (asyncssh.ConnectionLost("Connection lost"), True, "Connection lost; the connection broke off; if that lasts"),
        (asyncssh.SFTPFailure("No space left on device"), True, "No space left on device; the server's disk is full; ask its owner"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), False, "nothing listens there; check host and port"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False, "the host's name is not known; correct it"),
    ],
)
def test_fault_of_sftp_is_told_once_and_by_what_it_means(fault: Exception, is_in: bool, told: str) -> None:
    error = sftp_errors.translated(fault, "could not do it", sftp_errors.Circumstances(user="shop", is_in=is_in))
    assert str(error).startswith(f"could not do it: {told}")


@pytest.mark.parametrize(("fault", "kind"), SFTP_IS_IN, ids=str)
def test_fault_of_an_sftp_connection_that_worked_is_none_of_its_settings(fault: Exception, kind: type[StorageError]) -> None:
    error = sftp_errors.translated(fault, "could not do it", sftp_errors.Circumstances(user="shop", is_in=True))
    assert type(error) is kind
    check(error)


@pytest.mark.parametrize(("fault", "transient"), OBJECTS, ids=str)
def test_fault_of_a_secured_connection_to_an_object_store_may_pass_unless_it_never_came_about(fault: Exception, transient: bool) -> None:
    assert connection_cause(fault).transient is transient


def check(error: StorageError) -> None:
    doing, _, rest = str(error).partition(": ")
    found, _, advice = rest.partition("; ")
    assert doing == "could not do it"
    assert found
    assert len(advice) > 10
    assert "{" not in advice
