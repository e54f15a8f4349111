"""What goes wrong in an Azure container, translated: worth another try or not, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from dinmo_pipeline.storages.object_store.contract import DELETE, LIST, LOOK, MOVE, READ, WRITE
from dinmo_pipeline.storages.object_store.errors import PASSING_STATUS, REDIRECTS, Cause, connection_cause, redirect_cause


class OtherBytes(OSError):
    """What Azure says that it has is not what was sent."""


class CopyEnded(OSError):
    """A copy within the account ended without being done; its text is Azure's word for it."""


_RIGHTS = {WRITE: "create and write", READ: "read", LOOK: "read", LIST: "list", DELETE: "delete", MOVE: "read, create, write and delete"}

_NO_RIGHT = "{credentials} does not allow it: ask the account's owner for {right} on the container"
_NOT_ACCEPTED = "Azure did not accept {credentials}: it is wrong or too old; ask the account's owner for a valid one"
_NO_CONTAINER = "have the container made, or correct its name"
_BAD_NAME = "Azure does not take this name: correct the container's name, the folder or file_name"
_PROTECTED = "the container forbids replacing and deleting files: choose a dated file_name, or ask its owner"
_LASTING = {
    "AuthenticationFailed": _NOT_ACCEPTED,
    "InvalidAuthenticationInfo": _NOT_ACCEPTED,
    "NoAuthenticationInformation": "Azure wants other credentials than {credentials}: ask the account's owner which",
    "AuthorizationPermissionMismatch": _NO_RIGHT,
    "AuthorizationResourceTypeMismatch": _NO_RIGHT,
    "InsufficientAccountPermissions": _NO_RIGHT,
    "AuthorizationServiceMismatch": "{credentials} is not for blobs: ask for one of the Blob service",
    "AuthorizationProtocolMismatch": "{credentials} is for https alone: write account_url with https",
    "AuthorizationSourceIPMismatch": "{credentials} is not for this machine's address: ask the account's owner to allow it",
    "AuthorizationFailure": "{credentials} is too old or not enough for it, or the account's firewall forbids it: ask for {right}",
    "UnauthorizedBlobOverwrite": "{credentials} may create files and not replace them: ask for write too, or choose a dated file_name",
    "KeyBasedAuthenticationNotPermitted": "the account takes no keys: use default credentials, or a SAS token of a user delegation",
    "AccountIsDisabled": "the storage account is disabled: ask its owner",
    "ContainerNotFound": _NO_CONTAINER,
    "ContainerDisabled": "the container is disabled: ask the account's owner",
    "ResourceNotFound": _NO_CONTAINER,
    "BlobNotFound": "see what else deletes there",
    "BlobImmutableDueToPolicy": _PROTECTED,
    "BlobImmutableDueToLegalHold": _PROTECTED,
    "LeaseIdMissing": "somebody holds a lease on the file: have it released",
    "SnapshotsPresent": "the file has snapshots, which are never deleted along with it: delete them first",
    "InvalidBlobType": "an append or page blob has this name: delete it, or choose another file_name",
    "InvalidBlobOrBlock": "another tool's unfinished upload has this name: delete it, or choose another file_name",
    "InvalidResourceName": _BAD_NAME,
    "InvalidUri": _BAD_NAME,
    "OutOfRangeInput": _BAD_NAME,
}
_PASSING = {
    "ConditionNotMet": "the file was changed meanwhile",
    "ContainerBeingDeleted": "the container is being deleted: have it made again, or correct its name",
    "InvalidBlockList": "something else writes to this name at the same time",
    "Md5Mismatch": "the bytes changed on the way",
    "PendingCopyOperation": "something else copies to this name at the same time",
}
_BUSY = "Azure is busy; if it lasts, see the account's limits"
_NO_CREDENTIALS = (
    "sign in (az login), set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, give this machine an identity, or define a sas_token"
)


def cause_of(error: Exception, action: str, *, credentials: str) -> Cause | None:
    """Return what the error means, or None when it is none of Azure's libraries."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    if isinstance(error, OtherBytes):
        return Cause(str(error), "they changed on the way", transient=True)
    if isinstance(error, CopyEnded):
        return Cause(f"Azure's copy ended as {error}", "see what else works there", transient=True)
    if isinstance(error, HttpResponseError) and error.response is not None:
        code, status = code_of(error), error.status_code or 0
        found = f"Azure answered {status} {code}".rstrip()
        if status in REDIRECTS:
            return redirect_cause(status)
        if code in _LASTING:
            return Cause(found, _LASTING[code].format(credentials=credentials, right=_RIGHTS[action]))
        if code in _PASSING or status in PASSING_STATUS:
            return Cause(found, _PASSING.get(code, _BUSY), transient=True)
        return Cause(found, "look the code up in Azure's documentation, mend the cause and start again")
    # The client library makes a class of its own, which it does not export, for a key that it cannot sign with.
    if type(error).__name__ == "AzureSigningError":
        return Cause(f"{credentials} is no key", "copy it again from the account's access keys")
    if isinstance(error, ClientAuthenticationError):
        return Cause(f"{credentials} were not found, or not accepted", _NO_CREDENTIALS)
    return connection_cause(error) if isinstance(error, AzureError) else None


def code_of(error: BaseException | None) -> str:
    """Return Azure's own code, if the error is an answer of its; that to HEAD has it in its headers alone."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return headers.get("x-ms-error-code", "")
