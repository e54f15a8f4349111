"""Google Cloud Storage as a filesystem of fsspec: gcsfs, with what a delivery needs beyond it."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import google_crc32c
from gcsfs.core import GCSFile

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.event_loop import blocking, in_time
from dinmo_pipeline.storages.gcs.refusals import OtherBytes, SentOn
from dinmo_pipeline.storages.gcs.transport import GcsRequests, limits_of_this_task
from dinmo_pipeline.storages.gcs.upload import CHUNK_STEP, MOST_A_CHUNK, FilePiece, Staged, checksum_text, crc32c_of, foreign_host
from dinmo_pipeline.storages.intake import AnswerCount, ListingCount, Received, TransferCount
from dinmo_pipeline.storages.object_store.contract import AT_ONCE, SHA256, content_type
from dinmo_pipeline.storages.object_store.multipart import read_piece

_BLOCK_BYTES = 1024 * 1024
# Google tells much more of each object, which makes a listing many times as long.
_LISTED_FIELDS = "items(name,size,updated),prefixes,nextPageToken"


class Writable(Protocol):
    """What content is written to."""

    def write(self, block: bytes, /) -> object: ...


class GcsFileSystem(GcsRequests):
    """A filesystem of fsspec for paths `bucket/key`, on which nobody sees a part of a file that `stage` has sent.

    `credentials` are google.auth's; `answers` are the limits of what the server may send. Requests raise what `_asking` says; a file
    that is missing is a FileNotFoundError.
    """

    async def _stage(self, local_path: Path, path: str, *, sha256: str | None = None) -> Staged:
        """Send and verify what can be sent of a file before anybody sees it: all but its end, and nothing of a small one.

        `sha256`, where it is given, is kept in the object's metadata. The local file stays as it is until the commit.
        """
        size = local_path.stat().st_size
        metadata = {} if sha256 is None else {SHA256: sha256}
        staged = Staged(local_path, path, size, metadata, content_type(path))
        return staged if size <= AT_ONCE else await self._send(staged)

    async def _commit(self, staged: Staged) -> None:
        """Let the file appear, whole. OtherBytes when the store has taken others than these."""
        first, last = staged.sent, staged.size - 1
        rest = await asyncio.to_thread(read_piece, staged.local_path, staged.size, first, staged.size - first)
        if staged.location is None:
            await self._upload(staged.path, rest, metadata=staged.metadata, kind=staged.content_type)
            return
        headers = {
            "Content-Type": staged.content_type,
            "Content-Range": f"bytes {first}-{last}/{staged.size}",
            "X-Goog-Hash": f"crc32c={staged.crc32c}",
        }
        made = await self._call("PUT", staged.location, headers=headers, data=rest, json_out=True)
        _check_bytes(made, staged.size, staged.crc32c)

    async def _discard(self, staged: Staged) -> None:
        """Give up what was sent."""
        if staged.location is not None:
            await self._call("DELETE", staged.location)

    async def _write_if(self, path: str, content: bytes, version: str | None, *, metadata: Mapping[str, str]) -> str | None:
        """Write a small object if it still is of this generation, or, for None, if there is none yet.

        Returns its new generation, or None when the store says that the condition fails.
        """
        try:
            # Generation 0 is that of an object which does not exist.
            made = await self._upload(path, content, metadata=metadata, ifGenerationMatch=version or "0")
        except FileExistsError:
            return None
        return str(made["generation"])

    async def _look(self, path: str) -> Mapping[str, Any]:
        """Return what the store knows of an object, in one request."""
        found: Mapping[str, Any] = await self._get_object(path)
        return found

    async def _fetch(self, found: Mapping[str, Any], stream: Writable) -> None:
        """Write the content of an object that was looked at, as it is stored; FileExistsError when it was written once more meanwhile."""
        checksum, length = google_crc32c.Checksum(), 0

        def take(block: bytes) -> None:
            stream.write(block)
            checksum.update(block)

        match = {"ifGenerationMatch": found["generation"]}
        async with self._asking("GET", self.url(found["name"]), is_file=True, **match) as answer:
            async for block in answer.content.iter_chunked(_BLOCK_BYTES):
                length += len(block)
                await asyncio.to_thread(take, block)
        if length != found["size"] or found.get("crc32c") not in (None, checksum_text(checksum)):
            raise OtherBytes(f"{length:,} bytes came of {found['size']:,}")

    stage = blocking(_stage)
    commit = blocking(_commit)
    discard = blocking(_discard)
    write_if = blocking(_write_if)
    look = blocking(_look)
    fetch = blocking(_fetch)

    def pages(self, bucket: str, prefix: str, **options: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a listing as they come: `items` of a name, a size and a time, and `prefixes`."""
        asked = {"prefix": prefix, "delimiter": "/", "fields": _LISTED_FIELDS, **options}
        token = None
        while True:
            page = self.run(self._call("GET", "b/{}/o", bucket, json_out=True, pageToken=token, **asked))
            yield page
            if (token := page.get("nextPageToken")) is None:
                return

    async def _pipe_file(
        self,
        path: str,
        data: bytes,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        mode: str = "overwrite",
        **_: object,
    ) -> None:
        conditions = {"ifGenerationMatch": "0"} if mode == "create" else {}
        await self._upload(path, data, metadata=metadata, kind=content_type, **conditions)

    async def _put_file(self, lpath: str | Path, rpath: str, callback: Any = None, **_: object) -> None:
        local_path = Path(lpath)
        # A folder is a part of its objects' keys.
        if not local_path.is_dir():
            await self._commit(await self._stage(local_path, rpath))

    async def _get_file(self, rpath: str, lpath: str | Path, callback: Any = None, **_: object) -> None:
        local_path = Path(lpath)
        if local_path.is_dir():
            return
        found = await self._look(rpath)
        local_path.parent.mkdir(parents=True, exist_ok=True)
        own = Answers(self.answers.limits)
        with local_path.open("wb") as stream, limits_of_this_task(own):
            count = TransferCount(stream.fileno(), own.limits)
            received = Received(stream, count)
            received.expect(found["size"])
            with own.counted_by(count):
                await self._fetch(found, received)

    async def _cp_file(self, path1: str, path2: str, *arguments: Any, **options: Any) -> None:
        # A store may say for ever that it has not copied all.
        async with in_time(AnswerCount(self.answers.limits, None)):
            await super()._cp_file(path1, path2, *arguments, **options)

    async def _cat_file_sequential(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        # What is kept in memory is as long as its reader wants; only its pace is bound.
        own = Answers(self.answers.limits)
        with limits_of_this_task(own), own.counted_by(TransferCount(None, own.limits, most_kept=sys.maxsize)):
            content: bytes = await super()._cat_file_sequential(path, start, end, **options)
        return content

    async def _do_list_objects(self, path: str, **options: Any) -> Any:
        return await super()._do_list_objects(path, count=ListingCount(self.answers.limits), **options)

    async def _call_list_objects(self, bucket: str, *, count: ListingCount, **options: Any) -> Mapping[str, Any]:
        page: Mapping[str, Any] = await super()._call_list_objects(bucket, **options)
        count.add_entries(1 + len(page.get("items", ())) + len(page.get("prefixes", ())))
        return page

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> GcsFile:
        return GcsFile(self, path, mode, block_size or self.default_block_size, **options)

    async def _send(self, staged: Staged) -> Staged:
        path, size = staged.path, staged.size
        # Read once more beside what is sent of it: a chunk may be sent twice.
        checksum = asyncio.ensure_future(asyncio.to_thread(crc32c_of, staged.local_path))
        try:
            staged = replace(staged, location=await self._begin(path, size, staged.metadata, staged.content_type))
            sent, most = 0, (size - 1) // CHUNK_STEP * CHUNK_STEP
            while sent < most:
                piece = FilePiece(staged.local_path, size, sent, min(MOST_A_CHUNK, most - sent))
                sent = await self._send_piece(staged, piece)
            return replace(staged, sent=sent, crc32c=await checksum)
        except BaseException:  # an interrupt, too, must leave nothing behind
            checksum.cancel()
            with suppress(Exception):
                await self._discard(staged)
            raise

    async def _begin(self, path: str, size: int, metadata: Mapping[str, str], kind: str) -> str:
        """Begin an upload, and tell where its bytes go."""
        bucket, key, _ = self.split_path(path)
        answer, _ = await self._call(
            "POST",
            f"{self._location}/upload/storage/v1/b/{{}}/o",
            bucket,
            uploadType="resumable",
            json={"name": key, "metadata": metadata},
            headers={"X-Upload-Content-Type": kind, "X-Upload-Content-Length": str(size)},
        )
        location: str = answer["Location"]
        if (host := foreign_host(self._location, location)) is not None:
            raise SentOn(host=host)
        return location

    async def _send_piece(self, staged: Staged, piece: FilePiece) -> int:
        """Send a piece, and tell how many bytes of the file the store has now."""
        last = piece.position + piece.length - 1
        headers = {
            "Content-Type": staged.content_type,
            "Content-Range": f"bytes {piece.position}-{last}/{staged.size}",
            "Content-Length": str(piece.length),
        }
        answer, _ = await self._call("PUT", staged.location, headers=headers, data=piece)
        # Without it, it has none of them.
        kept = int(answer["Range"].rpartition("-")[2]) + 1
        # A store that keeps a byte of each piece is sent the file many times.
        if not piece.position < kept <= last + 1 or kept % CHUNK_STEP:
            raise ValueError(f"the store has {kept} bytes of {last + 1} that were sent")
        return kept

    async def _upload(
        self, path: str, content: bytes, *, metadata: Mapping[str, str] | None = None, kind: str | None = None, **conditions: Any
    ) -> Mapping[str, Any]:
        """Write and verify an object in one request, and tell what the store says of it.

        gcsfs separates what it sends by a line that it always takes, `--==0==`: a file that holds it arrives cut.
        """
        bucket, key, _ = self.split_path(path)
        checksum = checksum_text(google_crc32c.Checksum(content))
        about = json.dumps({"name": key, "metadata": metadata or {}, "crc32c": checksum})
        mark = secrets.token_hex(16)
        parts = ("application/json; charset=UTF-8", about), (kind or content_type(path), "")
        head = "\r\n".join(f"--{mark}\r\nContent-Type: {type_}\r\n\r\n{text}" for type_, text in parts)
        made: Mapping[str, Any] = await self._call(
            "POST",
            f"{self._location}/upload/storage/v1/b/{{}}/o",
            bucket,
            uploadType="multipart",
            headers={"Content-Type": f'multipart/related; boundary="{mark}"'},
            data=b"".join((head.encode(), content, f"\r\n--{mark}--".encode())),
            json_out=True,
            **conditions,
        )
        _check_bytes(made, len(content), checksum)
        return made


def _check_bytes(made: Mapping[str, Any], size: int, checksum: str) -> None:
    if made["crc32c"] != checksum or int(made["size"]) != size:
        raise OtherBytes


class GcsFile(GCSFile):  # type: ignore[misc] # gcsfs has no types
    """An open object. What is written to it is seen when it is closed, and not at all when that is for an error."""

    def _simple_upload(self) -> None:
        mode = "create" if "x" in self.mode else "overwrite"
        self.gcsfs.pipe_file(self.path, self.buffer.getvalue(), self.metadata, self.content_type, mode)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or "r" in self.mode:
            self.close()
        else:
            self.discard()
            self.closed = True
