"""The second connection of FTP, which a file or a listing comes and goes over."""

from __future__ import annotations

import ssl
from contextlib import suppress
from socket import socket

from dinmo_pipeline.storages.intake import ListingCount, TransferCount

_BLOCK = 512 * 1024
IDLE_SECONDS = 180.0
"""How long one request may go unanswered: a server may flush a large file to a slow disk before it answers."""
FAREWELL_SECONDS = 10.0


def received(connection: socket, count: TransferCount | ListingCount) -> bytes:
    """Return the next bytes, none at the end. LimitBroken when the time is over that `count` leaves, TimeoutError after IDLE_SECONDS."""
    try:
        connection.settimeout(min(count.seconds_left, IDLE_SECONDS))
        return connection.recv(_BLOCK)
    except TimeoutError:
        _ = count.seconds_left
        raise


def say_goodbye(connection: socket) -> None:
    """End the secured connection as TLS demands: without it the other side cannot tell the end from a break."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(FAREWELL_SECONDS)
        # A server that just hangs up has taken all the same; what it says on the control connection decides.
        with suppress(OSError):
            connection.unwrap()
