"""What goes wrong in an S3 bucket, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

from dinmo_pipeline.storages.object_store.contract import DELETE, LIST, LOOK, MOVE, READ, WRITE
from dinmo_pipeline.storages.object_store.errors import PASSING_STATUS, REDIRECTS, Cause, connection_cause, redirect_cause

_RIGHTS = {
    WRITE: "s3:PutObject",
    READ: "s3:GetObject",
    # Without s3:ListBucket S3 says "forbidden" of a file that does not exist.
    LOOK: "s3:GetObject and s3:ListBucket",
    LIST: "s3:ListBucket",
    DELETE: "s3:DeleteObject",
    MOVE: "s3:GetObject, s3:PutObject and s3:DeleteObject",
}

_NO_RIGHT = "ask the bucket's owner to give {credentials} the right {right}"
_NOT_ACCEPTED = "S3 did not accept {credentials}: correct access_key_id and secret_access_key"
_RENEW = "{credentials} have expired: renew them"
_REGION = "set the region that the bucket is in"
_BAD_NAME = "S3 does not take this name: correct the bucket's name, the folder or file_name"
_LASTING = {
    "403": _NO_RIGHT,
    "AccessDenied": _NO_RIGHT,
    "AllAccessDisabled": "the bucket is closed: ask its owner",
    "AccountProblem": "the account is disabled: ask its owner",
    "InvalidAccessKeyId": _NOT_ACCEPTED,
    "SignatureDoesNotMatch": _NOT_ACCEPTED,
    "InvalidToken": _NOT_ACCEPTED,
    "ExpiredToken": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "NoSuchBucket": "have the bucket made, or correct its name",
    "NoSuchKey": "see what else deletes there",
    "InvalidBucketName": _BAD_NAME,
    "KeyTooLongError": _BAD_NAME,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "EntityTooLarge": "the file is larger than S3 takes: set max_rows or max_bytes",
    "InvalidObjectState": "the file is archived: have it restored",
    "ObjectLocked": "the bucket forbids replacing files: choose a dated file_name",
    "QuotaExceeded": "the bucket's quota is used up: ask its owner for more room",
    "NotImplemented": "this server does not know the request: choose another one",
    "XMinioStorageFull": "the server's disk is full: ask its owner to free some room",
}
_PASSING = {
    "ConditionalRequestConflict": "something else writes to this name at the same time",
    "BadDigest": "the bytes changed on the way",
    "NoSuchUpload": "something else ended the upload: see what else works in this bucket",
    "InvalidPart": "something else ended the upload: see what else works in this bucket",
    "RequestTimeout": "the network was too slow",
}
_BUSY = "S3 is busy; if it lasts, see the account's limits"
_PASSING_CODES = {"SlowDown", "Throttling", "ThrottlingException", "ServiceUnavailable", "InternalError", "OperationAborted", *_PASSING}
_NO_CREDENTIALS = "define access_key_id and secret_access_key, or give this machine a profile or a role"


def cause_of(error: Exception, action: str, *, credentials: str) -> Cause | None:
    """Return what the error means, or None when it is none of the client library's."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    if isinstance(error, ClientError):
        return _answer(error.response, action, credentials)
    if isinstance(error, RecursionError):
        # After each redirect the client asks where the bucket is, and is sent on again.
        return redirect_cause()
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return Cause(f"{credentials} were not found", _NO_CREDENTIALS)
    if isinstance(error, ParamValidationError):
        return Cause("the request could not be made", _BAD_NAME)
    return connection_cause(error) if isinstance(error, BotoCoreError | Boto3Error) else None


def _answer(response: object, action: str, credentials: str) -> Cause:
    code, status = code_of(response)
    # An answer to HEAD has no body, and so no code but the status.
    found = f"S3 answered {status}" if code == str(status) else f"S3 answered {status} {code}"
    if code in _LASTING:
        return Cause(found, _LASTING[code].format(credentials=credentials, right=_RIGHTS[action]))
    if status in REDIRECTS:
        return redirect_cause(status)
    if code in _PASSING_CODES or status in PASSING_STATUS:
        return Cause(found, _PASSING.get(code, _BUSY), transient=True)
    return Cause(found, "look the code up in S3's documentation, mend the cause and start again")


def code_of(response: object) -> tuple[str, int]:
    """Return the code and the HTTP status of an answer."""
    answer = response if isinstance(response, dict) else {}
    code = str(answer.get("Error", {}).get("Code", ""))
    return code, int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
