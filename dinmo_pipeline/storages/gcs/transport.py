"""How a filesystem of gcsfs asks: each request once, signed, within the limits, at the address that was defined and at no other."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from gcsfs.core import GCSFileSystem, _location
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request
from requests import Session
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.storages.aiohttp_transport import bounded_connector, counting
from dinmo_pipeline.storages.answers import Answers, CountedAnswer, refuse_document_type
from dinmo_pipeline.storages.event_loop import run_on
from dinmo_pipeline.storages.gcs.refusals import Refused, SentOn, refusal
from dinmo_pipeline.storages.intake import AnswerCount, LimitBroken
from dinmo_pipeline.storages.object_store.contract import ANSWER_SECONDS, CONNECT_SECONDS
from dinmo_pipeline.storages.object_store.errors import PASSING_STATUS, REDIRECTS, first_cause_first
from dinmo_pipeline.storages.requests_transport import bound

T = TypeVar("T")

# What was lost is soon asked for again, so that it does not cost a whole file; longer waits are the publisher's.
RETRY_SECONDS = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 2.0
_TOKEN_RETRIES = 3
# What aiohttp keeps of an answer before it is asked for.
_READ_BYTES = 512 * 1024
_CANCELLED_UPLOAD = 499
_RESUME_INCOMPLETE = 308

_answers: ContextVar[Answers | None] = ContextVar("answers_of_this_task", default=None)


@contextmanager
def limits_of_this_task(answers: Answers) -> Iterator[None]:
    """Count what comes meanwhile in this task by these, and not by those of the whole filesystem."""
    mark = _answers.set(answers)
    try:
        yield
    finally:
        _answers.reset(mark)


class GcsRequests(GCSFileSystem):  # type: ignore[misc] # gcsfs has no types
    """gcsfs' core class, whose requests are made here; no instance and no listing is kept for another use.

    Its default class asks by gRPC for a bucket's kind, and waits for 60 s where none answers.
    """

    cachable = False

    def __init__(self, *, credentials: Credentials, answers: Answers, endpoint_url: str | None = None, **_: object) -> None:
        # What fsspec's configuration says of gs would stand in the others.
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
        # Else gcsfs goes to another host where client certificates are set up, which are not supported.
        endpoint = (endpoint_url or _location()).rstrip("/")
        super().__init__(token=credentials, endpoint_url=endpoint, requests_timeout=timeout, use_listings_cache=False)
        self.answers = answers
        self._credential = credentials
        self._signing = asyncio.Lock()
        self._tokens = Request(_session_for_tokens(answers))

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} holds a credential: make it anew where it is needed")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work` on the event loop."""
        return run_on(self.loop, work)

    def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            self.run(self._session.close())

    async def _set_session(self) -> ClientSession:
        if self._session is None:
            # An interrupted upload of gcsfs' own may have left a connector that is closed.
            self.session_kwargs = {
                "connector": bounded_connector(ANSWER_SECONDS),
                "cookie_jar": DummyCookieJar(),
                "read_bufsize": _READ_BYTES,
            }
        session: ClientSession = await super()._set_session()
        return session

    def _get_headers(self, headers: Mapping[str, str] | None, *_: Any, **__: Any) -> dict[str, str]:
        # gcsfs would ask for tokens here, on the event loop, of any server that it is sent on to, without limits.
        return {"User-Agent": "dinmo-pipeline (gcsfs)", "Accept-Encoding": "gzip", **(headers or {})}

    async def _request(
        self,
        method: str,
        path: str,
        *args: str,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        cache_type: object = None,
        cache_source: object = None,
        **params: Any,
    ) -> tuple[int, Mapping[str, str], Any, bytes]:
        is_file = "alt=media" in path

        async def ask() -> tuple[int, Mapping[str, str], Any, bytes]:
            asked = self._asking(method, path, *args, headers=headers, json=json, data=data, is_file=is_file, **params)
            async with asked as answer:
                content = await answer.read() if is_file else await self._read_answer(answer)
                return answer.status, answer.headers, answer.request_info, content

        return await self._patiently(ask)

    @asynccontextmanager
    async def _asking(
        self,
        method: str,
        path: str,
        *args: str,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        is_file: bool = False,
        **params: Any,
    ) -> AsyncIterator[ClientResponse]:
        """Yield the answer to one request. Of a file the content is given as it is stored, so also packed.

        Raises Refused, SentOn, LimitBroken, what google.auth and aiohttp raise, and what is wrong with a local file that is sent.
        """
        url = self._format_path(path, args)
        counted = CountedAnswer(_answers.get() or self.answers)
        session = await self._set_session()
        signed = await self._signed(method, url, headers)
        # aiohttp sends those in pieces, for which a server may take its time each.
        body = io.BytesIO(data) if isinstance(data, bytes | bytearray | memoryview) else data
        try:
            with counting(counted):
                async with session.request(
                    method,
                    URL(url, encoded=True),
                    params=self._get_params(params),
                    json=json,
                    data=body,
                    headers=signed,
                    timeout=self.requests_timeout,
                    proxy=select_proxy(url, get_environ_proxies(url)),
                    allow_redirects=False,
                    auto_decompress=not is_file,
                ) as answer:
                    await self._check(answer, f"{method} {'/'.join(args) or urlsplit(url).path}")
                    yield answer
        except ClientError as error:
            # aiohttp wraps what goes wrong in the body that it sends.
            for fault in first_cause_first(error):
                if isinstance(fault, LimitBroken | StorageError) or (isinstance(fault, OSError) and fault.filename is not None):
                    raise fault from None
            raise

    async def _check(self, answer: ClientResponse, asked: str) -> None:
        status = answer.status
        if status in REDIRECTS and (status != _RESUME_INCOMPLETE or "Location" in answer.headers):
            raise SentOn(status=status)
        if status >= 400 and status != _CANCELLED_UPLOAD:
            raise refusal(status, await self._read_answer(answer), asked)

    async def _read_answer(self, answer: ClientResponse) -> bytes:
        """Its content, where it is no file: what a packed one becomes is counted as well."""
        count, pieces = AnswerCount(self.answers.limits, None), []
        async for piece in answer.content.iter_any():
            count.add(len(piece))
            pieces.append(piece)
        content = b"".join(pieces)
        refuse_document_type(content)
        return content

    async def _signed(self, method: str, url: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        signed = self._get_headers(headers)
        if self._credential.valid:
            self._credential.before_request(self._tokens, method, url, signed)
            return signed
        async with self._signing:
            await asyncio.to_thread(self._credential.before_request, self._tokens, method, url, signed)
        return signed

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` brings, which is done again for some seconds after a fault that may pass; once with a new token."""
        until, pause, renewed = time.monotonic() + RETRY_SECONDS, _FIRST_PAUSE_S, False
        while True:
            try:
                return await ask()
            except (Refused, ClientError, TimeoutError, ConnectionError) as error:
                status = error.status if isinstance(error, Refused) else None
                if status == 401 and not renewed:
                    self._credential.token, renewed = None, True
                elif (status is not None and status not in PASSING_STATUS) or time.monotonic() + pause > until:
                    raise
                else:
                    await asyncio.sleep(pause * random.uniform(0.5, 1))
                    pause = min(2 * pause, _LONGEST_PAUSE_S)


def _session_for_tokens(answers: Answers) -> Session:
    """Make what asks for tokens, in threads: within the limits, and no redirect is followed."""
    tokens = Session()
    tokens.max_redirects = 0
    bound(tokens, answers, retries=_TOKEN_RETRIES)
    return tokens
