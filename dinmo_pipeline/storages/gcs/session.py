"""An open GCS bucket: every request that is made of it. A delivery needs storage.objects.create, and delete to replace files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.base import Listing, RemoteFile, Upload
from dinmo_pipeline.storages.gcs.errors import OTHER_BYTES, cause_of, says_file_is_missing
from dinmo_pipeline.storages.gcs.upload import ChunkedUpload
from dinmo_pipeline.storages.intake import ListingCount, counted_listing
from dinmo_pipeline.storages.object_store.contract import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
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

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

# A chunk that was lost is soon sent again, so that it does not cost the whole file; longer waits are the publisher's.
_RETRY_SECONDS = 5
# Google tells much more of each object, which makes a listing many times as long.
_LISTED_FIELDS = "items(name,size,updated),prefixes,nextPageToken"


class GcsBucket(ObjectStorage):
    """The open bucket. A resumable upload makes the object when its last chunk has come, so a reader never sees a part."""

    def __init__(self, *, name: str, bucket: str, place: str, client: Client, credentials: str, answers: Answers) -> None:
        from google.cloud.storage.retry import DEFAULT_RETRY

        super().__init__(name=name, place=place, answers=answers)
        self._client = client
        self._bucket = client.bucket(bucket)
        self._credentials = credentials
        retry = DEFAULT_RETRY.with_delay(initial=0.5, maximum=2).with_timeout(_RETRY_SECONDS)
        self._patience: dict[str, Any] = {"retry": retry, "timeout": (CONNECT_SECONDS, ANSWER_SECONDS)}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        found = self._blob(remote_path)
        with self._translating(READ, remote_path):
            found.reload(**self._patience)
            size = int(found.size)
        with self._receiving(remote_path, local_path, listed_size) as stream:
            stream.expect(size)
            # Not from `found`: it knows a link of the server's own, which may lead past endpoint_url. As it is stored, because
            # a packed object would else come unpacked, and longer than its size.
            blob = self._blob(remote_path)
            blob.download_to_file(stream, raw_download=True, if_generation_match=found.generation, **self._patience)

    def stat(self, remote_path: str) -> RemoteFile | None:
        found = self._find(remote_path)
        with self._translating(LOOK, remote_path):
            return None if found is None else _remote_file(found, found.name.rpartition("/")[2])

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        found = self._find(remote_path)
        if found is None or found.size != size:
            return False
        known = (found.metadata or {}).get(SHA256)
        # What others have put has no checksum of ours.
        return super().matches(remote_path, size, sha256) if known is None else bool(known == sha256)

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, remote_path):
            source, target = self._blob(remote_path), self._blob(target_path)
            token, _, _ = target.rewrite(source, **self._patience)
            while token is not None:
                token, _, _ = target.rewrite(source, token=token, **self._patience)
            source.delete(**self._patience)

    def delete(self, remote_path: str) -> None:
        from google.api_core.exceptions import NotFound

        with self._translating(DELETE, remote_path):
            try:
                self._blob(remote_path).delete(**self._patience)
            except NotFound as error:
                self._see_bucket(error)

    def list(self, remote_folder: str) -> Listing:
        prefix, count = folder_prefix(remote_folder), ListingCount(self._answers.limits)
        with self._translating(LIST, remote_folder, count):
            found = self._client.list_blobs(self._bucket, prefix=prefix, delimiter="/", fields=_LISTED_FIELDS, **self._patience)
            return counted_listing(self._listed(found.pages, prefix), count)

    def _listed(self, pages: Iterable[Any], prefix: str) -> Iterator[RemoteFile | None]:
        """Yield the files, and None for all else that lies there."""
        for page in pages:
            yield from (None for _ in page.prefixes)
            for blob in page:
                # An object whose name ends so is a folder that a tool made.
                yield None if blob.name.endswith("/") else _remote_file(blob, blob.name.removeprefix(prefix))

    def load(self, remote_path: str) -> Stored | None:
        from google.api_core.exceptions import NotFound, PreconditionFailed

        while (found := self._find(remote_path)) is not None:
            with self._translating(READ, remote_path):
                try:
                    content = self._blob(remote_path).download_as_bytes(
                        raw_download=True, if_generation_match=found.generation, **self._patience
                    )
                except (NotFound, PreconditionFailed):
                    # It was written once more in between.
                    continue
                return Stored(content, str(found.generation), (found.metadata or {}).get(WRITER))
        return None

    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        from google.api_core.exceptions import NotFound, PreconditionFailed

        blob = self._blob(remote_path)
        blob.metadata = metadata
        try:
            # Generation 0 is that of an object which does not exist.
            blob.upload_from_string(content, checksum="crc32c", if_generation_match=int(version or 0), **self._patience)
        except PreconditionFailed:
            return None
        except NotFound as error:
            self._see_bucket(error)
            return None
        return str(blob.generation)

    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        import google_crc32c

        blob = self._blob(remote_path)
        blob.metadata = {SHA256: hashlib.sha256(content).hexdigest()}
        blob.upload_from_string(content, content_type=content_type(remote_path), checksum="crc32c", **self._patience)
        if blob.crc32c != base64.b64encode(google_crc32c.Checksum(content).digest()).decode("ascii"):
            raise self._error(WRITE, remote_path, OTHER_BYTES)

    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> ChunkedUpload:
        blob = self._blob(remote_path)
        blob.metadata = {SHA256: sha256}
        upload = ChunkedUpload(blob, local_path, size, content_type(remote_path), self._patience)
        if (host := upload.foreign_host) is not None:
            found = f"the server sends the upload on to {host}, which is not followed"
            raise self._error(WRITE, remote_path, Cause(found, "correct endpoint_url, or ask the server's owner"))
        upload.send()
        return upload

    def _show(self, upload: Upload) -> None:
        sent: ChunkedUpload = upload.sent
        sent.complete()

    def _find(self, remote_path: str) -> Blob | None:
        from google.api_core.exceptions import NotFound

        with self._translating(LOOK, remote_path):
            blob = self._blob(remote_path)
            try:
                blob.reload(**self._patience)
            except NotFound as error:
                self._see_bucket(error)
                return None
            return blob

    def _see_bucket(self, error: Exception) -> None:
        # Not every server says what is missing, the file or the bucket.
        if not says_file_is_missing(error):
            next(iter(self._client.list_blobs(self._bucket, max_results=1, **self._patience)), None)

    def _blob(self, remote_path: str) -> Blob:
        return self._bucket.blob(object_key(remote_path))

    def _cause(self, error: Exception, action: str) -> Cause | None:
        return cause_of(error, action, credentials=self._credentials)


def _remote_file(blob: Blob, name: str) -> RemoteFile:
    return RemoteFile(name=name, size=blob.size, modified=blob.updated)
