"""Azure Blob storage as an fsspec filesystem: adlfs's, made safe, and what a delivery needs beyond it.

A path is `container/name`, and the name is taken as it is. What comes from the server is limited and verified; no redirect is followed,
nothing is cached, and no secret is shown by `repr`, `storage_options` or `to_json`. Files are written by `stage` and `commit`, of which
nobody sees a part; `open(..., "wb")` is adlfs's own, and shows what was written until it failed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from adlfs import AzureBlobFileSystem
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, BlobServiceClient, LinearRetry

from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure import blobs
from dinmo_pipeline.storages.azure.errors import code_of
from dinmo_pipeline.storages.azure.transport import CountedTransport
from dinmo_pipeline.storages.event_loop import blocking, in_time
from dinmo_pipeline.storages.intake import AnswerCount
from dinmo_pipeline.storages.object_store.contract import AT_ONCE
from dinmo_pipeline.storages.object_store.multipart import IN_FLIGHT

T = TypeVar("T")
Info = dict[str, Any]

# With names and metadata as long as Azure takes them a page of 5,000 blobs, which it is by default, would not fit into an answer.
_LISTED_AT_ONCE = 1_000
# The version that was expected has changed, or has gone; BlobAlreadyExists where none was expected.
_OTHER_VERSION = {"BlobAlreadyExists", "ConditionNotMet", "BlobNotFound"}


@dataclass(frozen=True)
class Staged:
    """A local file on its way to `path`, of which nobody sees anything yet: its blocks, which Azure has, or none if one request will do."""

    path: str
    local_path: Path
    sha256: str = ""
    blocks: Sequence[str] = ()


class AzureFileSystem(AzureBlobFileSystem):  # type: ignore[misc]
    """The storage account at `account_url`, as whom `credential` says, one of Azure's asynchronous credential objects.

    `answers` limits what is taken of the server; `read_at_once` is how many bytes the first request for a file brings at most. Raises
    what adlfs and Azure's client raise, and LimitBroken. Used by one thread at a time, as `answers` is, and until it is closed.
    """

    cachable = False

    def __init__(
        self, account_url: str, credential: Any, *, answers: Answers, read_at_once: int = blobs.PART_BYTES, **options: Any
    ) -> None:
        self._account_url, self._answers, self._read_at_once = account_url, answers, read_at_once
        self._threads = ThreadPoolExecutor(IN_FLIGHT, "azure")
        # The name is no account's: adlfs makes an address of it, and a client, which this makes itself.
        super().__init__(account_name="unused", credential=credential, anon=True, use_listings_cache=False, **options)
        # adlfs takes what the environment has of these, whatever it was given.
        self.account_key = self.connection_string = self.sas_token = self.client_secret = None
        _forget_at_exit(self)

    def do_connect(self) -> None:
        """Make the client, which asks for nothing yet; ValueError where the credential is of the wrong form."""
        self.service_client = BlobServiceClient(
            self._account_url,
            credential=self.credential,
            # A block that was lost is soon sent again, so that it does not cost the whole file; longer waits are the publisher's.
            retry_policy=LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
            transport=CountedTransport(self._answers, self._in_thread),
            max_single_put_size=AT_ONCE,
            max_single_get_size=self._read_at_once,
            # Where the account's owner did not say that rows may go, they do not.
            permit_redirects=False,
        )

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        # adlfs reads a path as an address: it leaves line ends out, and what follows a `?versionid=`.
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        scheme, separator, rest = os.fspath(path).partition("://")
        return (rest if separator and scheme in cls.protocol else os.fspath(path)).lstrip("/")

    def split_path(self, path: str, *_: Any, **__: Any) -> tuple[str, str, None]:
        """Return the container, the name in it, and no version."""
        container, _slash, name = self._strip_protocol(path).partition("/")
        return container, name, None

    async def _close(self) -> None:
        await self.service_client.close()
        if hasattr(self.credential, "close"):
            await self.credential.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _stage(self, local_path: Path, path: str, *, sha256: str | None = None) -> Staged:
        """Send a file's blocks, each verified, of which nobody sees anything; one that goes in one request waits for `commit`.

        `sha256` is the file's, where it is known. The local file stays as it is until then: PermanentStorageError where it changes.
        """
        size = local_path.stat().st_size
        if size <= AT_ONCE:
            return Staged(path, local_path)
        if sha256 is None:
            sha256 = await self._in_thread(lambda: sha256_of(local_path))
        async with self._blob(path) as blob:
            return Staged(path, local_path, sha256, await blobs.send_blocks(blob, local_path, size, self._in_thread))

    async def _commit(self, staged: Staged) -> None:
        """Let a staged file appear under its path, whole, in one request."""
        if not staged.blocks:
            await self._write_file(staged.path, await self._in_thread(staged.local_path.read_bytes))
            return
        async with self._blob(staged.path) as blob:
            await blobs.commit_blocks(blob, staged.blocks, staged.sha256)

    async def _discard(self, staged: Staged) -> None:
        """Give a staged file up. Azure knows no request that drops blocks; it forgets those that nobody has committed after a week."""

    async def _write_file(self, path: str, content: bytes) -> None:
        """Write and verify a small file in one request, whether there is one or not."""
        async with self._blob(path) as blob:
            await blobs.write_file(blob, content, self._in_thread)

    async def _write_if(self, path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        """Write a small file if it still is of this version, or, for None, if there is none; its new one, or None if it is of another."""
        unchanged: dict[str, Any] = {} if version is None else {"etag": version, "match_condition": MatchConditions.IfNotModified}
        async with self._blob(path) as blob:
            try:
                return await blobs.write(blob, content, self._in_thread, metadata=metadata, overwrite=version is not None, **unchanged)
            except HttpResponseError as error:
                if code_of(error) not in _OTHER_VERSION:
                    raise
                return None

    async def _load(self, path: str) -> tuple[bytes, str, dict[str, str]] | None:
        """Return a small file's bytes, its version and its metadata, by one request; None when there is none."""
        async with self._blob(path) as blob:
            try:
                found = await blob.download_blob(max_concurrency=1)
            except ResourceNotFoundError as error:
                _raise_unless_blob_is_missing(error)
                return None
            return await found.readall(), str(found.properties.etag), found.properties.metadata or {}

    async def _fetch(self, path: str, begin: Callable[[int], AbstractContextManager[BinaryIO]]) -> None:
        """Write a file's bytes to what `begin` opens, which is told their number first."""
        async with self._blob(path) as blob:
            await blobs.fetch(blob, begin, self._read_at_once, self._in_thread)

    async def _look(self, path: str) -> Info | None:
        """Return what `info` tells of a blob, by one request that needs the right to read alone; None where there is none."""
        async with self._blob(path) as blob:
            try:
                properties = await blob.get_blob_properties()
            except ResourceNotFoundError as error:
                _raise_unless_blob_is_missing(error)
                return None
        found: Info = (await self._details([properties]))[0]
        return found

    async def _pages(self, path: str) -> AsyncIterator[list[Info]]:
        """Yield what lies in a folder, as `ls` tells it, page by page as they come; nothing where it does not exist."""
        container, name, _ = self.split_path(path)
        prefix = f"{name.strip('/')}/" if name.strip("/") else None
        async with self.service_client.get_container_client(container) as client:
            # Metadata is asked for because a folder that a tool made is a blob with a mark in it.
            found = client.walk_blobs(name_starts_with=prefix, include=["metadata"], delimiter="/", results_per_page=_LISTED_AT_ONCE)
            async for page in found.by_page():
                entries = [blob async for blob in page]
                infos = zip(entries, await self._details(entries), strict=True)
                yield [{**info, "type": "directory", "size": None} if blob.name.endswith("/") else info for blob, info in infos]

    @blocking
    async def _next_page(self, pages: AsyncIterator[list[Info]]) -> list[Info] | None:
        return await anext(pages, None)

    def iter_ls(self, path: str) -> Iterator[Info]:
        """Yield what `ls` tells of a folder, while it comes: all of it need not fit into memory."""
        pages = self._pages(path)
        while (page := self._next_page(pages)) is not None:
            yield from page

    async def _info(self, path: str, refresh: bool = False, **options: Any) -> Info:
        container, name, _ = self.split_path(path)
        if not name:
            found: Info = await super()._info(path, refresh, **options)
            return found
        with _told_as_missing(path):
            if (blob := await self._look(path)) is not None:
                return blob
        if await self._dir_exists(container, name):
            return {"name": f"{container}/{name.rstrip('/')}", "size": None, "type": "directory"}
        raise _missing(path)

    async def _ls(self, path: str, detail: bool = False, **options: Any) -> list[Any]:
        path = self._strip_protocol(path).rstrip("/")
        with _told_as_missing(path):
            if path:
                found = [info async for page in self._pages(path) for info in page if info["name"] != path]
            else:
                # adlfs looks for them in the listings that it does not keep.
                found = await self._details([container async for container in self.service_client.list_containers()])
        if path and not found and (info := await self._info(path))["type"] == "file":
            found = [info]
        return found if detail else sorted(info["name"] for info in found)

    async def _get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        target = Path(lpath)
        if not target.is_dir():
            with _told_as_missing(rpath):
                await self._fetch(rpath, lambda _size: target.open("wb"))

    async def _put_file(self, *arguments: Any, **options: Any) -> None:
        # adlfs has Azure take what comes, whether it is what was sent or not.
        await super()._put_file(*arguments, **{"validate_content": True, **options})

    async def _pipe_file(self, *arguments: Any, **options: Any) -> Any:
        return await super()._pipe_file(*arguments, **{"validate_content": True, **options})

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        with _told_as_missing(path1):
            # An account may say for ever that it still copies.
            limit = in_time(AnswerCount(self._answers.limits, None))
            async with self._blob(path1) as source, self._blob(path2) as target, limit:
                await blobs.copy(source, target)

    async def _mv(self, path1: str, path2: str, **_: Any) -> None:
        """Move one file; fsspec would take a name with a `*` or `[` in it for several, and delete them all."""
        await self._cp_file(path1, path2)
        await self._rm_file(path1)

    stage, commit, discard, close = blocking(_stage), blocking(_commit), blocking(_discard), blocking(_close)
    write_file, write_if, load = blocking(_write_file), blocking(_write_if), blocking(_load)
    fetch, look, mv = blocking(_fetch), blocking(_look), blocking(_mv)
    # Those of adlfs and fsspec call their own methods, whatever is defined here.
    get_file, put_file = blocking(_get_file), blocking(_put_file)
    pipe_file, cp_file = blocking(_pipe_file), blocking(_cp_file)

    def _blob(self, path: str) -> BlobClient:
        container, name, _ = self.split_path(path)
        return self.service_client.get_blob_client(container, name)

    def _in_thread(self, work: Callable[[], T], /) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


def _forget_at_exit(filesystem: AzureFileSystem) -> None:
    """Take back what adlfs has Python do at the process's end: to close the filesystem.

    It would keep each one until then, with its secrets, and a forked child would wait for ever for a loop that it does not have.
    """
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        if (known := finalizer.peek()) is not None and known[0] is filesystem:
            finalizer.detach()


@contextmanager
def _told_as_missing(path: str) -> Iterator[None]:
    try:
        yield
    except ResourceNotFoundError as error:
        raise _missing(path) from error


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _raise_unless_blob_is_missing(error: ResourceNotFoundError) -> None:
    # That the container is missing is another matter.
    if code_of(error) != "BlobNotFound":
        raise error
