"""Files on their way to a consumer: brought there unseen, the first of them while the others are still rendered."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Self

from dinmo_pipeline.delta.export import PlannedFile
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.storages.temporary import temporary_beside
from dinmo_pipeline.sync.deliver.render import RenderedFile

_NAMES_AT_ONCE = 32
"""So that a file in a thousand parts makes thirty entries, and whoever tidies after a crash asks for few files that are not there."""


class Uploader:
    """The files of one attempt, from the first that leaves until they are `released`. A context manager.

    On an error that this process survives temporary files are taken away; after one that it does not survive the next sync does it, which
    finds their names in the log: those of an export, or before there is one, those that `announce` was given. Without `announce` nothing
    leaves before its export is recorded. `publisher` is used by nobody else between the first `send` and `bring`.
    """

    def __init__(self, publisher: Publisher, *, create_folder: bool, announce: Callable[[tuple[str, ...]], object] | None = None) -> None:
        self.publisher = publisher
        self._must_make_folder = create_folder
        self._announce = announce
        self._names: deque[str] = deque()
        self._sent: dict[PlannedFile, Future[None]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="uploader")
        self._begun: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # The file that is on its way is waited for: only then can it be taken away. A server that is away is not, whatever ends this.
        self.publisher.give_up()
        self._pool.shutdown(cancel_futures=True)
        if error is None or isinstance(error, DinmoError):
            self.publisher.tidy(self._begun)

    @cached_property
    def _uses_names(self) -> bool:
        return self.publisher.moves

    def send(self, file: RenderedFile) -> RenderedFile:
        """Let a file that was just rendered leave while the next one is rendered: the same file, with a temporary name that is announced.

        It stays where nothing may leave yet. Raises the StorageError that an earlier one met with.
        """
        if self._announce is None:
            return file
        for future in self._sent.values():
            if future.done():
                future.result()
        if self._uses_names:
            if not self._names:
                self._names.extend(temporary_beside(file.put.path) for _ in range(_NAMES_AT_ONCE))
                self._announce(tuple(self._names))
            file = replace(file, put=replace(file.put, temporary_path=self._names.popleft()))
        self._sent[file.put] = self._pool.submit(copy_context().run, self._bring, file)
        return file

    def bring(self, files: Sequence[RenderedFile]) -> None:
        """Let all leave that have not yet; when this returns, all are there, verified, and seen by nobody. Raises StorageError."""
        for future in self._sent.values():
            future.result()
        for file in files:
            if file.put not in self._sent:
                self._bring(file)

    def release(self) -> None:
        """Keep the uploads: an intent tells of them now, so they are no longer taken away."""
        self._begun.clear()

    def _bring(self, file: RenderedFile) -> None:
        if self._must_make_folder:
            self.publisher.make_folder(posixpath.dirname(file.put.path) or ".")
            self._must_make_folder = False
        if self._uses_names:
            self._begun.append(file.put.temporary_path)
        self.publisher.bring(file.local_path, file.put.parcel)
