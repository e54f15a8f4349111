"""How httpx takes the answers of a server: within the limits, for the clients that stand on it."""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from httpcore import NetworkBackend, NetworkStream, ReadTimeout
from httpx import Client

from dinmo_pipeline.storages.answers import CountedAnswer


def bound(client: Client, begin: Callable[[], CountedAnswer]) -> None:
    """Have the client take no more than the limits allow, of which `begin` gives the count of the next answer. It keeps no cookies."""
    client.cookies.jar = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    # What is packed becomes a thousand times as much in memory, and httpx has no limit for it.
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks = {"request": [], "response": [_take_as_it_comes]}
    for transport in (client._transport, *client._mounts.values()):
        pool: Any = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _CountedNetwork(pool._network_backend, begin)


def _take_as_it_comes(response: Any) -> None:
    response.headers.pop("Content-Encoding", None)


class _CountedNetwork(NetworkBackend):
    """Connections whose bytes are counted while they come."""

    def __init__(self, plain: NetworkBackend, begin: Callable[[], CountedAnswer]) -> None:
        self._plain = plain
        self._begin = begin

    def connect_tcp(self, *arguments: Any, **options: Any) -> NetworkStream:
        return _CountedStream(self._plain.connect_tcp(*arguments, **options), self._begin)

    def connect_unix_socket(self, *arguments: Any, **options: Any) -> NetworkStream:
        return _CountedStream(self._plain.connect_unix_socket(*arguments, **options), self._begin)

    def sleep(self, seconds: float) -> None:
        self._plain.sleep(seconds)


class _CountedStream(NetworkStream):
    """One connection. What comes after something was sent is an answer of its own."""

    def __init__(self, plain: NetworkStream, begin: Callable[[], CountedAnswer]) -> None:
        self._plain = plain
        self._begin = begin
        self._count: CountedAnswer | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        count = self._count = self._count or self._begin()
        left = count.seconds_left
        try:
            block = self._plain.read(max_bytes, left if timeout is None else min(left, timeout))
        except ReadTimeout:
            _ = count.seconds_left
            raise
        count.add(memoryview(block))
        return block

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._count = None
        self._plain.write(buffer, timeout)

    def close(self) -> None:
        self._plain.close()

    def start_tls(self, *arguments: Any, **options: Any) -> NetworkStream:
        return _CountedStream(self._plain.start_tls(*arguments, **options), self._begin)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)
