"""An open Azure container: the contract of a storage, on its filesystem.

With the create and write rights alone a delivery works: it asks for nothing but its puts. An account with a
hierarchical namespace is served through the same requests; it makes the folders itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.errors import cause_of, code_of
from dinmo_pipeline.storages.base import Listing, RemoteFile, Upload
from dinmo_pipeline.storages.intake import ListingCount, TransferCount, counted_listing
from dinmo_pipeline.storages.object_store.contract import (
    DELETE,
    LIST,
    LOOK,
    MOVE,
    READ,
    SHA256,
    WRITER,
    ObjectStorage,
    Stored,
    object_key,
)
from dinmo_pipeline.storages.object_store.errors import Cause

if TYPE_CHECKING:
    from dinmo_pipeline.storages.azure.filesystem import AzureFileSystem, Staged

READ_AT_ONCE = 32 * 1024 * 1024
"""The first request for a blob brings so much of it at most."""


class AzureContainer(ObjectStorage):
    """The open container. A blob of several blocks appears when they are committed, so a reader never sees a part."""

    def __init__(self, *, name: str, place: str, filesystem: AzureFileSystem, container: str, credentials: str, answers: Answers) -> None:
        super().__init__(name=name, place=place, answers=answers)
        self._filesystem = filesystem
        self._container = container
        self._credentials = credentials

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._filesystem.close()

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        with self._receiving(remote_path, local_path, listed_size, most_kept=READ_AT_ONCE + self._answers.limits.answer_bytes) as stream:

            def begin(size: int) -> Any:
                stream.expect(size)
                return nullcontext(stream)

            self._filesystem.fetch(self._path(remote_path), begin)

    def stat(self, remote_path: str) -> RemoteFile | None:
        found = self._find(remote_path)
        return None if found is None else _remote_file(found)

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        found = self._find(remote_path)
        if found is None or found["size"] != size:
            return False
        known = (found["metadata"] or {}).get(SHA256)
        # What others have put has no checksum of ours.
        return super().matches(remote_path, size, sha256) if known is None else bool(known == sha256)

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, remote_path):
            self._filesystem.mv(self._path(remote_path), self._path(target_path))

    def delete(self, remote_path: str) -> None:
        with self._translating(DELETE, remote_path):
            try:
                self._filesystem.rm_file(self._path(remote_path))
            except FileNotFoundError as error:
                if code_of(error.__cause__) != "BlobNotFound":
                    raise

    def list(self, remote_folder: str) -> Listing:
        count = ListingCount(self._answers.limits)
        with self._translating(LIST, remote_folder, count):
            entries = self._filesystem.iter_ls(self._path(remote_folder))
            return counted_listing((_remote_file(entry) if entry["type"] == "file" else None for entry in entries), count)

    def load(self, remote_path: str) -> Stored | None:
        with self._translating(READ, remote_path):
            found = self._filesystem.load(self._path(remote_path))
        if found is None:
            return None
        content, version, metadata = found
        return Stored(content, version, metadata.get(WRITER))

    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        written: str | None = self._filesystem.write_if(self._path(remote_path), content, version, metadata)
        return written

    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        self._filesystem.write_file(self._path(remote_path), content)

    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> Staged:
        return self._filesystem.stage(local_path, self._path(remote_path), sha256=sha256)

    def _show(self, upload: Upload) -> None:
        self._filesystem.commit(upload.sent)

    def _find(self, remote_path: str) -> dict[str, Any] | None:
        with self._translating(LOOK, remote_path):
            found = self._filesystem.look(self._path(remote_path))
        return found if found is not None and found["type"] == "file" else None

    @contextmanager
    def _translating(self, action: str, remote_path: str, count: ListingCount | TransferCount | None = None) -> Iterator[None]:
        with super()._translating(action, remote_path, count):
            try:
                yield
            except FileNotFoundError as error:
                # adlfs says that of a missing container, too; what Azure said is its cause. A local file's has none.
                raise error.__cause__ or error from None

    def _path(self, remote_path: str) -> str:
        return f"{self._container}/{object_key(remote_path)}"

    def _cause(self, error: Exception, action: str) -> Cause | None:
        return cause_of(error, action, credentials=self._credentials)


def _remote_file(info: dict[str, Any]) -> RemoteFile:
    return RemoteFile(name=info["name"].rpartition("/")[2], size=info["size"], modified=info["last_modified"])
