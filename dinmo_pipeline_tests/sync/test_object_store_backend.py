"""Logs in an object store, read by many requests at once: a fault of one of them spoils none of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from typing import Self, cast

import pytest

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.base import RemoteFile
from dinmo_pipeline.storages.object_store.contract import ObjectStorage, Stored
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.sync.backends.object_store import ObjectStoreBackend
from dinmo_pipeline.sync.ledger.segments import CHECKPOINTS

FILES = [RemoteFile(f"{number:08d}.json", 1) for number in range(1, 41)]


class Store:
    """Answers slowly; once closed it fails as Azure's client does. The request number `fails_at` meets a fault that passes."""

    fails_at = 0
    loaded: list[str]
    requests: count[int]

    def __init__(self) -> None:
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def list(self, remote_folder: str) -> Sequence[RemoteFile]:
        return FILES

    def load(self, remote_path: str) -> Stored:
        fails = next(Store.requests) == Store.fails_at
        time.sleep(0 if fails else 0.01)
        if self.closed:
            raise ValueError("HTTP transport has already been closed")
        if fails:
            raise TransientStorageError("503")
        Store.loaded.append(remote_path)
        return Stored(remote_path.encode(), "1")


@pytest.fixture
def backend() -> ObjectStoreBackend:
    Store.loaded, Store.requests, Store.fails_at = [], count(1), 0

    def connect() -> Connection[ObjectStorage]:
        return Connection(lambda: cast(ObjectStorage, Store()), retry_for_s=10, retries=2, first_pause_s=0.001)

    return ObjectStoreBackend(connect(), connect, "state")


@pytest.mark.parametrize("fails_at", [1, 20, 40])
def test_fault_among_many_requests_is_tried_again_and_nothing_is_read_twice(backend: ObjectStoreBackend, fails_at: int) -> None:
    Store.fails_at = fails_at
    pages = backend.read("people", "log")
    assert [page.text for page in pages] == [f"state/activations/people/log/{file.name}".encode() for file in FILES]
    assert len(Store.loaded) == len(FILES)


def test_entries_are_asked_for_once_and_those_of_earlier_chapters_are_let_go(backend: ObjectStoreBackend) -> None:
    for folder in (CHECKPOINTS, "log", CHECKPOINTS, "log"):
        backend.read("people", folder)
    assert len(Store.loaded) == 2 * len(FILES)
    backend.read("people", "log/00000500")
    backend.read("people", CHECKPOINTS)
    assert len(Store.loaded) == 3 * len(FILES)
    backend.read("people", "log")
    assert len(Store.loaded) == 4 * len(FILES)
