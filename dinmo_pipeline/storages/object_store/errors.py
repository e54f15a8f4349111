"""Why an object store did not do what it was asked for, in words that carry no secret."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""The HTTP statuses that another try may cure."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The HTTP statuses that send a request on to another address."""


@dataclass(frozen=True)
class Cause:
    """What came back, what to do about it, and whether another try may cure it."""

    found: str
    advice: str
    transient: bool = False


def connection_cause(error: BaseException) -> Cause:
    """Return why no connection came about, or why it broke.

    In the operating system's words: the texts of the HTTP libraries hold addresses with signatures in them.
    """
    for fault in first_cause_first(error):
        if isinstance(fault, ssl.SSLError) and not _is_refusal(fault):
            return Cause("the secured connection broke", "check the network, and the address if it lasts", transient=True)
        if isinstance(fault, ssl.SSLError):
            reason = getattr(fault, "verify_message", None) or getattr(fault, "reason", None) or "TLS failed"
            return Cause(f"no safe connection: {reason}", "correct the address, or have the server's certificate mended")
        if isinstance(fault, socket.gaierror):
            if fault.errno == socket.EAI_AGAIN:
                return Cause("the name service did not answer", "try again later", transient=True)
            return Cause(f"the host's name is not known: {fault.strerror}", "correct the address")
        if isinstance(fault, ConnectionRefusedError):
            return Cause("nothing listens there", "check the address and its port", transient=True)
        if isinstance(fault, OSError) and fault.strerror:
            return Cause(f"the network failed: {fault.strerror}", "check the address and the firewall", transient=True)
    return Cause("the connection broke, or no answer came in time", "check the network if it lasts", transient=True)


def redirect_cause(status: int | None = None) -> Cause:
    """Return what an answer means that sends the request on to another address."""
    answered = "" if status is None else f"answered {status} and "
    return Cause(
        f"the server {answered}sends the request on to another address, which is not followed",
        "correct the address, or ask the server's owner",
    )


UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What the client libraries raise of an answer that is not what the service says that it is."""


def unreadable_cause(error: BaseException) -> Cause | None:
    """Return what an error means that a library came to while it read an answer; None of any other. Its text may quote the answer."""
    if not isinstance(error, UNREADABLE):
        return None
    found = f"the server's answer could not be read ({type(error).__name__})"
    return Cause(found, "what answers there does not speak the service's language as it should; check the address")


# What TLS makes of a server without it, and of one that agrees to nothing that we offer: both are the same at the next try.
_REFUSALS = (
    "WRONG_VERSION",
    "HTTP",
    "PROTOCOL",
    "HANDSHAKE_FAILURE",
    "NO_SHARED",
    "UNSUPPORTED",
    "CERTIFICATE",
    "UNKNOWN_CA",
    "RECORD_LAYER",
)


def _is_refusal(fault: ssl.SSLError) -> bool:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return True
    reason = getattr(fault, "reason", None) or str(fault)
    return "SHUTDOWN" not in reason and any(word in reason for word in _REFUSALS)


def local_cause(error: BaseException) -> Cause | None:
    """Return what is wrong with a file of this machine, or None when the error is of another kind: only such a file has a name in it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return Cause(f"the local file {error.filename}: {error.strerror}", "mend that and start again")
    return None


def first_cause_first(error: BaseException) -> Iterator[BaseException]:
    """Return the error and all that it came of, however the libraries keep that; the first cause first."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        fault = waiting.pop()
        if fault is None or any(fault is known for known in found):
            continue
        found.append(fault)
        # What they wrap the libraries keep in `reason` (urllib3), in the arguments (requests) or in `inner_exception` (Azure).
        kept = (*fault.args, getattr(fault, "reason", None), getattr(fault, "inner_exception", None))
        waiting += [nested for nested in kept if isinstance(nested, BaseException)]
        waiting += [fault.__context__, fault.__cause__]
    return reversed(found)
