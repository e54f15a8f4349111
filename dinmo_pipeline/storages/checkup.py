"""A check-up of a storage: everything that a delivery needs of it, done once with a small file of our own."""

from __future__ import annotations

import posixpath
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline.errors import PermanentStorageError, StorageError
from dinmo_pipeline.storages.contract import Storage, StorageSpec

_CONTENT = b"dinmo: a file to try this storage with; it is deleted again\n"


@dataclass(frozen=True)
class Step:
    """One thing that was tried: what, how long it took, and why it failed (None when it did not)."""

    name: str
    seconds: float
    problem: str | None


def check_storage(spec: StorageSpec, project_root: Path, *, folder: str) -> Iterator[Step]:
    """Connect, make `folder`, write, rename, read back, delete: each step as it ends, up to the first that fails.

    What was written is deleted, whatever happens. Nothing is tried twice: a fault that may pass shows, too.
    """
    began = time.monotonic()
    try:
        storage = spec.connect(project_root).__enter__()
    except StorageError as error:
        yield Step("connect", time.monotonic() - began, str(error))
        return
    try:
        yield Step("connect", time.monotonic() - began, None)
        with tempfile.TemporaryDirectory() as local_folder:
            yield from _try_each(storage, folder, Path(local_folder))
    finally:
        storage.__exit__(None, None, None)


def _try_each(storage: Storage, folder: str, local_folder: Path) -> Iterator[Step]:
    name = f".dinmo-{secrets.token_hex(8)}"
    first, second = (posixpath.normpath(posixpath.join(folder, name + ending)) for ending in (".part", ".test"))
    final = second if storage.moves else first
    local_path = local_folder / "written"
    local_path.write_bytes(_CONTENT)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("folder", lambda: storage.make_folder(folder)),
        ("write and verify", lambda: storage.put(local_path, first)),
        *([("rename", lambda: storage.move(first, second))] if storage.moves else []),
        ("read back", lambda: _read_back(storage, final, local_folder / "read")),
        ("delete", lambda: storage.delete(final)),
    ]
    written = False
    for what, act in steps:
        began = time.monotonic()
        try:
            written = written or what == "write and verify"
            act()
        except StorageError as error:
            yield Step(what, time.monotonic() - began, str(error))
            if written and what != "delete":
                yield from _clean_up(storage, {first, final})
            return
        yield Step(what, time.monotonic() - began, None)


def _read_back(storage: Storage, remote_path: str, local_path: Path) -> None:
    storage.read(remote_path, local_path)
    if (found := local_path.read_bytes()) != _CONTENT:
        raise PermanentStorageError(
            f"wrote {len(_CONTENT)} bytes to {remote_path} and read other {len(found)} bytes back; who else writes there?"
        )


def _clean_up(storage: Storage, remote_paths: set[str]) -> Iterator[Step]:
    for remote_path in sorted(remote_paths):
        began = time.monotonic()
        try:
            storage.delete(remote_path)
        except StorageError as error:
            yield Step("delete", time.monotonic() - began, f"the trial's file is left behind: {error}")
