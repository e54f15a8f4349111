"""What a GCS server answers in place of what was asked for: errors of Python that keep its reason, which gcsfs' own leave out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Refused(OSError):
    """An answer that is an error, to what was `asked`. Its text holds neither a query nor what was sent."""

    def __init__(self, status: int, reason: str, message: str, asked: str) -> None:
        self.found = f"Google answered {status} {reason}".rstrip()
        super().__init__(f"{self.found} to {asked}")
        self.status, self.reason, self.message = status, reason, message


class _Missing(Refused, FileNotFoundError):
    pass


class _Forbidden(Refused, PermissionError):
    pass


class _Unmatched(Refused, FileExistsError):
    pass


class SentOn(OSError):
    """An answer that sends the request on to another address, by its `status`, or to another `host`."""

    def __init__(self, *, status: int | None = None, host: str | None = None) -> None:
        super().__init__(f"the server sends the request on ({status or host})")
        self.status, self.host = status, host


class OtherBytes(OSError):
    """The store and this machine have different bytes."""


def refusal(status: int, content: bytes, asked: str) -> Refused:
    """Return what this answer to what was `asked` means: a FileNotFoundError, PermissionError or FileExistsError where it is one."""
    details = _details(content)
    errors = details.get("errors")
    reasons = [each.get("reason", "") for each in errors if isinstance(each, Mapping)] if isinstance(errors, list) else []
    kind = {404: _Missing, 403: _Forbidden, 412: _Unmatched}.get(status, Refused)
    return kind(status, str(reasons[0]) if reasons else "", str(details.get("message", "")), asked)


def _details(content: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    details = answer.get("error") if isinstance(answer, Mapping) else None
    return details if isinstance(details, Mapping) else {}
