"""How adlfs's asynchronous client sends its requests: by Azure's own transport on requests, in threads, within the limits of answers.

On requests, because its connections are urllib3's, whose bytes are counted while they come. Azure has a transport of this kind,
AsyncioRequestsTransport; it knows no limit for the time between two bytes, and takes its threads from those that all filesystems share.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Any

from azure.core.pipeline.transport import AsyncHttpTransport, RequestsTransport
from requests import Session

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.blobs import InThread
from dinmo_pipeline.storages.object_store.contract import ANSWER_SECONDS, CONNECT_SECONDS
from dinmo_pipeline.storages.requests_transport import bound

_PIECE_BYTES = 1024 * 1024


class CountedTransport(AsyncHttpTransport[Any, Any]):
    """One connection pool; follows no redirect of its own, and gives up a server that is silent for ANSWER_SECONDS."""

    def __init__(self, answers: Answers, in_thread: InThread) -> None:
        session = Session()
        bound(session, answers)
        self._plain = RequestsTransport(
            session=session, connection_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS, connection_data_block_size=_PIECE_BYTES
        )
        self._in_thread = in_thread

    async def __aenter__(self) -> CountedTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        self._plain.open()

    async def close(self) -> None:
        self._plain.close()

    async def send(self, request: Any, **options: Any) -> _Answer:
        return _Answer(await self._in_thread(partial(self._plain.send, request, **options)), self._in_thread)


class _Answer:
    """Azure's answer, as its asynchronous client asks for it; all but the content of a file has come already."""

    def __init__(self, plain: Any, in_thread: InThread) -> None:
        self._plain = plain
        self._in_thread = in_thread

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    async def read(self) -> bytes:
        content: bytes = await self._in_thread(self._plain.read)
        return content

    async def load_body(self) -> None:
        await self.read()

    async def close(self) -> None:
        self._plain.close()

    def stream_download(self, pipeline: Any, **_: Any) -> _Content:
        return _Content(self._plain.stream_download(pipeline, decompress=False), self._in_thread)


class _Content(AsyncIterator[bytes]):
    """The content of a file, in one piece: the client library wants it whole in any case.

    As it is stored, whatever the client asks for: a packed file would else come unpacked, and longer than its size.
    """

    def __init__(self, pieces: Any, in_thread: InThread) -> None:
        self._pieces = pieces
        self._in_thread = in_thread
        self._is_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pieces, name)

    async def __anext__(self) -> bytes:
        if self._is_read:
            raise StopAsyncIteration
        self._is_read = True
        return await self._in_thread(lambda: b"".join(self._pieces))
