"""How requests takes the answers of a store: within the limits, for the clients that stand on it."""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager

from dinmo_pipeline.storages.answers import FIRST_ERROR, Answers, count_unpacked, refuse_document_type

# What a body is sent in, as by Azure's own transport; requests has half of it.
_BLOCK_BYTES = 32 * 1024


def bound(session: Session, answers: Answers, *, retries: int = 0) -> None:
    """Have the session take no more than the limits allow."""
    adapter = _CountingAdapter(answers, retries)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    session.hooks["response"].insert(0, _look)


class _CountingAdapter(HTTPAdapter):
    def __init__(self, answers: Answers, retries: int) -> None:
        self._answers = answers
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=_BLOCK_BYTES, **options)
        self._count(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        return self._count(super().proxy_manager_for(proxy, **options))

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        response = super().send(request, *arguments, **options)
        count_unpacked(response, self._answers)
        return response

    def _count(self, manager: PoolManager) -> PoolManager:
        manager.pool_classes_by_scheme = self._answers.pool_classes(HTTPConnectionPool, HTTPSConnectionPool)
        return manager


def _look(response: Response, *, stream: bool = False, **_: Any) -> None:
    # The content of a file is not for memory; that of an error is read by the client all the same.
    if not stream or response.status_code >= FIRST_ERROR:
        refuse_document_type(response.content)
