"""Files sent in blocks: each block once and in order, and what ends the work."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.object_store.multipart import IN_FLIGHT, in_flight, read_piece, send_blocks
from dinmo_pipeline_tests.waiting import PATIENCE_S

_BLOCK = 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(205)))
    return path


def test_answers_stand_in_the_order_of_the_blocks(file: Path) -> None:
    assert b"".join(send_blocks(file, 205, _BLOCK, lambda index, piece: bytes([index]) + piece)) == b"".join(
        bytes([index]) + bytes(range(index * _BLOCK, min(205, (index + 1) * _BLOCK))) for index in range(21)
    )


def test_no_more_blocks_than_that_are_under_way(file: Path) -> None:
    barrier = threading.Barrier(IN_FLIGHT)
    most, now, lock = 0, 0, threading.Lock()

    def send(index: int, _piece: bytes) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        if index < IN_FLIGHT:
            barrier.wait(PATIENCE_S)
        with lock:
            now -= 1

    send_blocks(file, 205, _BLOCK, send)
    assert most == IN_FLIGHT


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Is set when the blocks that were not begun have been called off."""
    called_off = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            called_off.set()
            super().shutdown(wait=wait)

    monkeypatch.setattr("dinmo_pipeline.storages.object_store.multipart.ThreadPoolExecutor", Pool)
    return called_off


def test_first_error_ends_the_work_while_an_earlier_block_is_under_way(file: Path, cancelled: threading.Event) -> None:
    begun = []

    def send(index: int, _piece: bytes) -> None:
        begun.append(index)
        if index == 1:
            raise TransientStorageError("lost")
        assert cancelled.wait(PATIENCE_S)

    with pytest.raises(TransientStorageError, match="lost"):
        send_blocks(file, 205, _BLOCK, send)
    assert len(begun) < 21


def test_interrupt_ends_the_work(file: Path, cancelled: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dinmo_pipeline.storages.object_store.multipart.wait", interrupted)

    def send(index: int, _piece: bytes) -> None:
        begun.append(index)
        assert cancelled.wait(PATIENCE_S)

    with pytest.raises(KeyboardInterrupt):
        send_blocks(file, 205, _BLOCK, send)
    assert len(begun) <= IN_FLIGHT


@pytest.mark.parametrize(("length", "size", "found"), [(203, 205, "203"), (205, 204, "205")], ids=["shorter", "longer"])
def test_file_whose_size_changed_is_refused(length: int, size: int, found: str, file: Path) -> None:
    file.write_bytes(bytes(length))
    with pytest.raises(PermanentStorageError, match=f"it had {size} bytes and {found} could be read; something else writes there"):
        send_blocks(file, size, _BLOCK, lambda _index, piece: piece)


def test_piece_ends_where_the_file_did(file: Path) -> None:
    assert read_piece(file, 205, 200, _BLOCK) == bytes(range(200, 205))
    assert read_piece(file, 203, 200, _BLOCK) == bytes(range(200, 203))


def test_work_of_a_loop_is_answered_in_order_and_no_more_than_that_is_under_way() -> None:
    now, most = 0, 0

    async def work(number: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001 * (number % 3))
        now -= 1
        return number

    assert asyncio.run(in_flight(20, work)) == list(range(20))
    assert most == IN_FLIGHT
    assert asyncio.run(in_flight(0, work)) == []


def test_first_error_ends_the_work_of_a_loop_once_what_is_under_way_is_done() -> None:
    begun, ended = [], []

    async def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise TransientStorageError("lost")
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(TransientStorageError, match="lost"):
        asyncio.run(in_flight(20, work))
    assert begun == list(range(IN_FLIGHT))
    assert ended == [number for number in begun if number != 1]


def test_work_of_a_loop_that_is_cancelled_ends() -> None:
    begun = []

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0.01)

    async def cancelled() -> None:
        task = asyncio.create_task(in_flight(20, work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert begun == list(range(IN_FLIGHT))
