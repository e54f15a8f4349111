"""What goes wrong in a GCS bucket, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dinmo_pipeline.storages.object_store.contract import DELETE, LIST, LOOK, MOVE, READ, WRITE
from dinmo_pipeline.storages.object_store.errors import (
    PASSING_STATUS,
    REDIRECTS,
    Cause,
    connection_cause,
    first_cause_first,
    redirect_cause,
)

_RIGHTS = {
    WRITE: "storage.objects.create, and storage.objects.delete to replace files",
    READ: "storage.objects.get",
    LOOK: "storage.objects.get",
    LIST: "storage.objects.list",
    DELETE: "storage.objects.delete",
    MOVE: "storage.objects.get, create and delete",
}

_NO_RIGHT = "ask the bucket's owner to give {credentials} the right {right} (the role Storage Object User has it)"
_PROTECTED = "the bucket forbids replacing and deleting files: choose a dated file_name, or ask its owner"
# By the reason in the answer, where it says more than the status.
_REASONS = {
    "retentionPolicyNotMet": _PROTECTED,
    "objectUnderActiveHold": _PROTECTED,
    "accountDisabled": "the project is closed or not paid: ask the bucket's owner",
    "billingNotEnabled": "the project is closed or not paid: ask the bucket's owner",
    "userProjectMissing": "the bucket wants its readers to pay, which is not supported: ask its owner for another one",
}
_STATUSES = {
    400: "Google does not take this request: correct the bucket's name, the folder or file_name",
    401: "Google did not accept {credentials}: have a new key made",
    403: _NO_RIGHT,
    404: "have the bucket made, or correct its name",
    412: "something else writes to this name at the same time",
    413: "the file is larger than GCS takes: set max_rows or max_bytes",
}
OTHER_BYTES = Cause("Google has other bytes than were sent", "they changed on the way", transient=True)
_BUSY = "Google is busy; if it lasts, see the project's limits"
# An upload's session that has ended, and too many writes to one name.
_PASSING_STATUS = PASSING_STATUS | {410, 412}
_NO_CREDENTIALS = "define a service_account_key, or sign in (gcloud auth application-default login)"
_BAD_KEY = "the key was revoked, or this machine's clock is wrong: have a new key made, or set the clock"


def cause_of(error: Exception, action: str, *, credentials: str) -> Cause | None:
    """Return what the error means, or None when it is none of Google's libraries."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests import RequestException, TooManyRedirects
    from urllib3.exceptions import HTTPError

    redirected = next((each for each in first_cause_first(error) if isinstance(each, TooManyRedirects)), None)
    if redirected is not None:
        return redirect_cause(redirected.response.status_code if redirected.response is not None else 302)
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return cause_of(error.cause, action, credentials=credentials)
    if isinstance(error, GoogleAPICallError | InvalidResponse):
        return _answer(error, action, credentials)
    if isinstance(error, DataCorruption):
        return OTHER_BYTES
    if isinstance(error, DefaultCredentialsError):
        return Cause(f"{credentials} were not found", _NO_CREDENTIALS)
    if isinstance(error, RefreshError) and not error.retryable:
        return Cause(f"Google gave no token for {credentials}", _BAD_KEY)
    if isinstance(error, RefreshError):
        return Cause(f"Google gave no token for {credentials}", _BUSY, transient=True)
    if isinstance(error, TransportError | RequestException | HTTPError | ConnectionError):
        return connection_cause(error)
    if isinstance(error, GoogleAuthError):
        return Cause(f"{credentials} cannot be used ({type(error).__name__})", _NO_CREDENTIALS)
    # The client library's word for a name that it does not take.
    return Cause("the request could not be made", _STATUSES[400]) if isinstance(error, ValueError) else None


def says_file_is_missing(error: Any) -> bool:
    """Return whether the answer says that the file is missing, where it could be the bucket."""
    return "No such object" in _details(error).get("message", "")


def _answer(error: Any, action: str, credentials: str) -> Cause:
    status = int(error.response.status_code if error.response is not None else error.code)
    if status in REDIRECTS:
        return redirect_cause(status)
    details = _details(error)
    reasons = [entry.get("reason", "") for entry in details.get("errors", []) if isinstance(entry, Mapping)]
    reason = reasons[0] if reasons else ""
    found = f"Google answered {status} {reason}".rstrip()
    if status == 400 and "doesn't match calculated" in details.get("message", ""):
        return OTHER_BYTES
    if says_file_is_missing(error):
        return Cause(found, "see what else deletes there")
    advice = _REASONS.get(reason) or _STATUSES.get(status)
    if status in _PASSING_STATUS:
        return Cause(found, advice or _BUSY, transient=True)
    advice = advice or "look the reason up in Google's documentation, mend the cause and start again"
    return Cause(found, advice.format(credentials=credentials, right=_RIGHTS[action]))


def _details(error: Any) -> Mapping[str, Any]:
    # Uploads raise errors that hold the answer unread.
    try:
        content = error.response.json()
    except (AttributeError, ValueError):
        return {}
    details = content.get("error") if isinstance(content, Mapping) else None
    return details if isinstance(details, Mapping) else {}
