"""An open Azure container: every request that is made of it.

With the create and write rights alone a delivery works: it asks for nothing but its puts. An account with a
hierarchical namespace is served through the same requests; it makes the folders itself.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.errors import cause_of, code_of
from dinmo_pipeline.storages.base import Listing, RemoteFile, Upload
from dinmo_pipeline.storages.intake import ListingCount, counted_listing
from dinmo_pipeline.storages.object_store.contract import (
    DELETE,
    LIST,
    LOOK,
    MOVE,
    READ,
    SHA256,
    WRITE,
    WRITER,
    ObjectStorage,
    Stored,
    content_type,
    folder_prefix,
    object_key,
)
from dinmo_pipeline.storages.object_store.errors import Cause
from dinmo_pipeline.storages.object_store.multipart import IN_FLIGHT, block_size, send_blocks

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient, ContentSettings

_MOST_BLOCKS = 50_000
# The version that was expected has changed, or has gone; BlobAlreadyExists where none was expected.
_OTHER_VERSION = {"BlobAlreadyExists", "ConditionNotMet", "BlobNotFound"}
_COPY_POLL_SECONDS = 0.5
READ_AT_ONCE = 32 * 1024 * 1024
"""The first request for a blob brings so much of it at most."""
# With names and metadata as long as Azure takes them a page of 5,000 blobs, which it is by default, would not fit into an answer.
_LISTED_AT_ONCE = 1_000


@dataclass(frozen=True)
class _Blocks:
    """The blocks that a blob is to be made of, and the SHA-256 of the whole."""

    ids: Sequence[str]
    sha256: str


class AzureContainer(ObjectStorage):
    """The open container. A blob of several blocks appears when they are committed, so a reader never sees a part."""

    def __init__(self, *, name: str, place: str, client: ContainerClient, credentials: str, answers: Answers) -> None:
        super().__init__(name=name, place=place, answers=answers)
        self._client = client
        self._credentials = credentials

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        with self._receiving(remote_path, local_path, listed_size, most_kept=READ_AT_ONCE + self._answers.limits.answer_bytes) as stream:
            # As it is stored: a packed blob would else come unpacked, and longer than its size.
            download = self._blob(remote_path).download_blob(max_concurrency=IN_FLIGHT, decompress=False)
            stream.expect(download.size)
            download.readinto(stream)

    def stat(self, remote_path: str) -> RemoteFile | None:
        found = self._properties(remote_path)
        if found is None:
            return None
        return RemoteFile(name=object_key(remote_path).rpartition("/")[2], size=found.size, modified=found.last_modified)

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        found = self._properties(remote_path)
        if found is None or found.size != size:
            return False
        known = found.metadata.get(SHA256)
        # What others have put has no checksum of ours.
        return super().matches(remote_path, size, sha256) if known is None else bool(known == sha256)

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, remote_path):
            source, target = self._blob(remote_path), self._blob(target_path)
            status = str(target.start_copy_from_url(source.url)["copy_status"])
            while status == "pending":
                time.sleep(_COPY_POLL_SECONDS)
                status = str(target.get_blob_properties().copy.status)
            if status != "success":
                raise self._error(MOVE, remote_path, Cause(f"Azure's copy ended as {status}", "see what else works there", transient=True))
            source.delete_blob()

    def delete(self, remote_path: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._translating(DELETE, remote_path):
            try:
                self._blob(remote_path).delete_blob()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise

    def list(self, remote_folder: str) -> Listing:
        from azure.storage.blob import BlobProperties

        prefix, count = folder_prefix(remote_folder), ListingCount(self._answers.limits)
        with self._translating(LIST, remote_folder, count):
            # Metadata is asked for because a folder that a tool made is a blob with a mark in it.
            found = self._client.walk_blobs(
                name_starts_with=prefix or None, include=["metadata"], delimiter="/", results_per_page=_LISTED_AT_ONCE
            )
            files = (
                RemoteFile(name=blob.name.removeprefix(prefix), size=blob.size, modified=blob.last_modified)
                if isinstance(blob, BlobProperties) and not blob.name.endswith("/") and not _is_folder(blob)
                else None
                for blob in found
            )
            return counted_listing(files, count)

    def load(self, remote_path: str) -> Stored | None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._translating(READ, remote_path):
            try:
                found = self._blob(remote_path).download_blob(decompress=False)
                content = found.readall()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
                return None
            return Stored(content, str(found.properties.etag), (found.properties.metadata or {}).get(WRITER))

    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError

        unchanged: dict[str, Any] = {} if version is None else {"etag": version, "match_condition": MatchConditions.IfNotModified}
        try:
            answer = self._blob(remote_path).upload_blob(
                content, overwrite=version is not None, length=len(content), validate_content=True, metadata=metadata, **unchanged
            )
        except HttpResponseError as error:
            if code_of(error) not in _OTHER_VERSION:
                raise
            return None
        return str(answer["etag"])

    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        answer = self._blob(remote_path).upload_blob(
            content,
            overwrite=True,
            length=len(content),
            validate_content=True,
            content_settings=_settings(remote_path),
            metadata={SHA256: hashlib.sha256(content).hexdigest()},
        )
        if bytes(answer["content_md5"] or b"") != md5:
            raise self._error(WRITE, remote_path, Cause("Azure has other bytes than were sent", "they changed on the way", transient=True))

    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> _Blocks:
        blob = self._blob(remote_path)

        def send(_index: int, piece: bytes) -> str:
            # Uploads to one name share their uncommitted blocks; names of its own keep the bytes of each apart. They have
            # 48 digits because all names of a blob's blocks must be as long, and Azure's own tools take so many.
            block_id = f"{uuid.uuid4().int:048d}"
            # With its MD5 sent along, Azure takes a block only if it got these very bytes.
            blob.stage_block(block_id, piece, length=len(piece), validate_content=True)
            return block_id

        return _Blocks(send_blocks(local_path, size, block_size(size, most_blocks=_MOST_BLOCKS), send), sha256)

    def _show(self, upload: Upload) -> None:
        from azure.storage.blob import BlobBlock

        # Azure knows no request that drops blocks; it forgets those that nobody has committed after a week.
        sent: _Blocks = upload.sent
        self._blob(upload.remote_path).commit_block_list(
            [BlobBlock(block_id) for block_id in sent.ids],
            content_settings=_settings(upload.remote_path),
            metadata={SHA256: sent.sha256},
        )

    def _properties(self, remote_path: str) -> BlobProperties | None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._translating(LOOK, remote_path):
            try:
                found = self._blob(remote_path).get_blob_properties()
            except ResourceNotFoundError as error:
                if code_of(error) != "BlobNotFound":
                    raise
                return None
            return None if _is_folder(found) else found

    def _blob(self, remote_path: str) -> BlobClient:
        return self._client.get_blob_client(object_key(remote_path))

    def _cause(self, error: Exception, action: str) -> Cause | None:
        return cause_of(error, action, credentials=self._credentials)


def _settings(remote_path: str) -> ContentSettings:
    from azure.storage.blob import ContentSettings

    return ContentSettings(content_type=content_type(remote_path))


def _is_folder(blob: BlobProperties) -> bool:
    return (blob.metadata or {}).get("hdi_isfolder") == "true"
