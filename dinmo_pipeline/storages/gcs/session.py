"""An open GCS bucket: every request that is made of it. A delivery needs storage.objects.create, and delete to replace files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.storages.base import Listing, RemoteFile, Upload
from dinmo_pipeline.storages.gcs.errors import cause_of, says_file_is_missing
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
    folder_prefix,
    object_key,
)
from dinmo_pipeline.storages.object_store.errors import Cause

if TYPE_CHECKING:
    from dinmo_pipeline.storages.gcs.filesystem import GcsFileSystem
    from dinmo_pipeline.storages.gcs.upload import Staged


class GcsBucket(ObjectStorage):
    """The open bucket. A resumable upload makes the object when its last chunk has come, so a reader never sees a part."""

    def __init__(self, *, name: str, bucket: str, place: str, filesystem: GcsFileSystem, credentials: str) -> None:
        super().__init__(name=name, place=place, answers=filesystem.answers)
        self._filesystem = filesystem
        self._bucket = bucket
        self._credentials = credentials

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._filesystem.close()

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        with self._translating(READ, remote_path):
            found = self._filesystem.look(self._path(remote_path))
        with self._receiving(remote_path, local_path, listed_size) as stream:
            stream.expect(found["size"])
            self._filesystem.fetch(found, stream)

    def stat(self, remote_path: str) -> RemoteFile | None:
        found = self._find(remote_path)
        return None if found is None else RemoteFile(object_key(remote_path).rpartition("/")[2], found["size"], found.get("mtime"))

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        found = self._find(remote_path)
        if found is None or found["size"] != size:
            return False
        known = found.get("metadata", {}).get(SHA256)
        # What others have put has no checksum of ours.
        return super().matches(remote_path, size, sha256) if known is None else bool(known == sha256)

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, remote_path):
            # Not `cp_file` and others as fsspec makes them: to their caller, one that was cancelled is done.
            self._filesystem.run(self._filesystem._cp_file(self._path(remote_path), self._path(target_path)))
            self._filesystem.run(self._filesystem._rm_file(self._path(remote_path)))

    def delete(self, remote_path: str) -> None:
        with self._translating(DELETE, remote_path):
            try:
                self._filesystem.run(self._filesystem._rm_file(self._path(remote_path)))
            except FileNotFoundError as error:
                self._see_bucket(error)

    def list(self, remote_folder: str) -> Listing:
        prefix, count = folder_prefix(remote_folder), ListingCount(self._answers.limits)
        with self._translating(LIST, remote_folder, count):
            return counted_listing(self._listed(prefix), count)

    def _listed(self, prefix: str) -> Iterator[RemoteFile | None]:
        """Yield the files, and None for all else that lies there."""
        for page in self._filesystem.pages(self._bucket, prefix):
            yield from (None for _ in page.get("prefixes", ()))
            for item in page.get("items", ()):
                name, changed = item["name"], datetime.fromisoformat(item["updated"])
                # An object whose name ends so is a folder that a tool made.
                yield None if name.endswith("/") else RemoteFile(name.removeprefix(prefix), int(item["size"]), changed)

    def load(self, remote_path: str) -> Stored | None:
        while (found := self._find(remote_path)) is not None:
            content = io.BytesIO()
            with self._translating(READ, remote_path):
                try:
                    self._filesystem.fetch(found, content)
                except (FileNotFoundError, FileExistsError):
                    # It was written once more in between.
                    continue
                return Stored(content.getvalue(), str(found["generation"]), found.get("metadata", {}).get(WRITER))
        return None

    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        try:
            return self._filesystem.write_if(self._path(remote_path), content, version, metadata=metadata)
        except FileNotFoundError as error:
            self._see_bucket(error)
            return None

    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        metadata = {SHA256: hashlib.sha256(content).hexdigest()}
        self._filesystem.run(self._filesystem._pipe_file(self._path(remote_path), content, metadata))

    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> Staged:
        return self._filesystem.stage(local_path, self._path(remote_path), sha256=sha256)

    def _show(self, upload: Upload) -> None:
        self._filesystem.commit(upload.sent)

    def abort(self, upload: Upload) -> None:
        """Give up what was sent; Google forgets what it is not told of within a week."""
        with self._translating(WRITE, upload.remote_path):
            if upload.sent is not None:
                self._filesystem.discard(upload.sent)

    def _find(self, remote_path: str) -> Mapping[str, Any] | None:
        with self._translating(LOOK, remote_path):
            try:
                return self._filesystem.look(self._path(remote_path))
            except FileNotFoundError as error:
                self._see_bucket(error)
                return None

    def _see_bucket(self, error: Exception) -> None:
        # Not every server says what is missing, the file or the bucket.
        if not says_file_is_missing(error):
            next(self._filesystem.pages(self._bucket, "", maxResults=1))

    def _path(self, remote_path: str) -> str:
        return f"{self._bucket}/{object_key(remote_path)}"

    def _cause(self, error: Exception, action: str) -> Cause | None:
        return cause_of(error, action, credentials=self._credentials)
