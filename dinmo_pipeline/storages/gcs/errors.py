"""What goes wrong in a GCS bucket, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

from dinmo_pipeline.storages.gcs.refusals import OtherBytes, Refused, SentOn
from dinmo_pipeline.storages.object_store.contract import DELETE, LIST, LOOK, MOVE, READ, WRITE
from dinmo_pipeline.storages.object_store.errors import (
    PASSING_STATUS,
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
_OTHER_BYTES = Cause("Google has other bytes than were sent", "they changed on the way", transient=True)
_BUSY = "Google is busy; if it lasts, see the project's limits"
# An upload's session that has ended, and too many writes to one name.
_PASSING_STATUS = PASSING_STATUS | {410, 412}
_NO_CREDENTIALS = "define a service_account_key, or sign in (gcloud auth application-default login)"
_BAD_KEY = "the key was revoked, or this machine's clock is wrong: have a new key made, or set the clock"


def cause_of(error: Exception, action: str, *, credentials: str) -> Cause | None:
    """Return what the error means, or None when it is none of the libraries'."""
    from aiohttp import ClientError, InvalidURL
    from aiohttp.http_exceptions import HttpProcessingError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
    from requests import RequestException, TooManyRedirects

    redirected = next((each for each in first_cause_first(error) if isinstance(each, TooManyRedirects)), None)
    if redirected is not None:
        return redirect_cause(redirected.response.status_code if redirected.response is not None else 302)
    if isinstance(error, SentOn):
        found = f"the server sends the upload on to {error.host}, which is not followed"
        return redirect_cause(error.status) if error.host is None else Cause(found, "correct endpoint_url, or ask the server's owner")
    if isinstance(error, Refused):
        return _answer(error, action, credentials)
    if isinstance(error, OtherBytes):
        return _OTHER_BYTES
    if isinstance(error, DefaultCredentialsError):
        return Cause(f"{credentials} were not found", _NO_CREDENTIALS)
    if isinstance(error, RefreshError) and not error.retryable:
        return Cause(f"Google gave no token for {credentials}", _BAD_KEY)
    if isinstance(error, RefreshError):
        return Cause(f"Google gave no token for {credentials}", _BUSY, transient=True)
    if any(isinstance(each, HttpProcessingError) for each in first_cause_first(error)):
        return Cause("the server's answer is longer than is taken of one, or no HTTP", "look at what answers there", transient=True)
    if isinstance(error, InvalidURL):
        return Cause("the request could not be made", _STATUSES[400])
    if isinstance(error, ClientError | TransportError | RequestException | TimeoutError | ConnectionError):
        return connection_cause(error)
    if isinstance(error, GoogleAuthError):
        return Cause(f"{credentials} cannot be used ({type(error).__name__})", _NO_CREDENTIALS)
    return None


def says_file_is_missing(error: BaseException) -> bool:
    """Return whether the answer says that the file is missing, where it could be the bucket."""
    return isinstance(error, Refused) and "No such object" in error.message


def _answer(error: Refused, action: str, credentials: str) -> Cause:
    status = error.status
    if status == 400 and "doesn't match calculated" in error.message:
        return _OTHER_BYTES
    if says_file_is_missing(error):
        return Cause(error.found, "see what else deletes there")
    advice = _REASONS.get(error.reason) or _STATUSES.get(status)
    if status in _PASSING_STATUS:
        return Cause(error.found, advice or _BUSY, transient=True)
    advice = advice or "look the reason up in Google's documentation, mend the cause and start again"
    return Cause(error.found, advice.format(credentials=credentials, right=_RIGHTS[action]))
