"""A check-up of a storage: everything that a delivery needs of it, done once with a small file of our own."""

from __future__ import annotations

import posixpath
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dinmo_pipeline.errors import PermanentStorageError, StorageError
from dinmo_pipeline.storages.base import Storage, StorageSpec

_CONTENT = b"dinmo: a file to try this storage with; it is deleted again\n"


# What does not work where a right is missing that a delivery can do without.
_LIST = "inboxes; everything else works"
_READ = "inboxes, `if_missing: full`, and finding out which files of an interrupted delivery have arrived: they are sent again"
_ROOTS = {".", "/", "//"}
_DELETE = "removing parts and signals of an earlier sync, tidying after a failure, inboxes"


@dataclass(frozen=True)
class Step:
    """One thing that was tried: what, how long it took, and why it failed (None when it did not).

    `spoils` says what a missing right spoils where a delivery works all the same.
    """

    name: str
    seconds: float
    problem: str | None = None
    spoils: str | None = None

    @property
    def fails(self) -> bool:
        """Whether no delivery works."""
        return self.problem is not None and self.spoils is None


def check_storage(spec: StorageSpec, project_root: Path, *, folder: str, known_folders: Sequence[str] = ()) -> Iterator[Step]:
    """Connect, make `folder`, write, rename; then what a delivery can do without: list, read back, delete. Each step as it ends.

    `known_folders` are named to whoever tries a root that cannot be written to. The first that a delivery needs and that fails is
    the last but for cleaning up. Nothing is tried twice: a fault that may pass shows, too. What was written is deleted where
    that is allowed, and else named.
    """
    began = time.monotonic()
    try:
        storage = spec.connect(project_root).__enter__()
    except StorageError as error:
        yield Step("connect", time.monotonic() - began, str(error))
        return
    try:
        problem = _silence(storage, posixpath.normpath(posixpath.join(folder, f".dinmo-{secrets.token_hex(8)}")))
        yield Step("connect", time.monotonic() - began, problem)
        if problem is None:
            with tempfile.TemporaryDirectory() as local_folder:
                for step in _try_each(storage, folder, Path(local_folder)):
                    yield _at_the_root(step, known_folders) if storage.moves and posixpath.normpath(folder) in _ROOTS else step
    finally:
        storage.__exit__(None, None, None)


def _silence(storage: Storage, remote_path: str) -> str | None:
    """Return why nobody answers; an object store is connected to by its first request only. A refusal is an answer."""
    try:
        storage.exists(remote_path)
    except PermanentStorageError:
        return None
    except StorageError as error:
        return str(error)
    return None


def _at_the_root(step: Step, known_folders: Sequence[str]) -> Step:
    if not step.fails or step.name not in {"folder", "write and verify"}:
        return step
    known = f"; activations deliver to {', '.join(known_folders)}" if known_folders else ""
    return replace(
        step,
        problem=f"{step.problem}. Nothing but the account's root was tried, which seldom may be written to where an account is shut into "
        f"it: name the folder that files are to lie in with --folder{known}",
    )


def _try_each(storage: Storage, folder: str, local_folder: Path) -> Iterator[Step]:
    name = f".dinmo-{secrets.token_hex(8)}"
    first, second = (posixpath.normpath(posixpath.join(folder, name + ending)) for ending in (".part", ".test"))
    final = second if storage.moves else first
    local_path = local_folder / "written"
    local_path.write_bytes(_CONTENT)
    needed: list[tuple[str, Callable[[], object]]] = [
        ("folder", lambda: storage.make_folder(folder)),
        ("write and verify", lambda: storage.put(local_path, first)),
        *([("rename", lambda: storage.move(first, second))] if storage.moves else []),
    ]
    for what, act in needed:
        step = _tried(what, act)
        yield step
        if step.fails:
            if what != "folder":
                yield from _clean_up(storage, {first, final})
            return
    if storage.publishes is not None:
        yield Step(storage.publishes, 0.0)
    yield _tried("list", lambda: storage.list(folder), spoils=_LIST)
    yield _tried("read back", lambda: _read_back(storage, final, local_folder / "read"), spoils=_READ)
    yield _tried("delete", lambda: storage.delete(final), spoils=f"{_DELETE}; the trial's file {final} is left behind")


def _tried(what: str, act: Callable[[], object], *, spoils: str | None = None) -> Step:
    began = time.monotonic()
    try:
        act()
    except PermanentStorageError as error:
        # A file that is not what was written is no matter of rights.
        return Step(what, time.monotonic() - began, str(error), spoils if not isinstance(error, _OtherContent) else None)
    except StorageError as error:
        return Step(what, time.monotonic() - began, str(error))
    return Step(what, time.monotonic() - began)


class _OtherContent(PermanentStorageError):
    """What was read is not what was written."""


def _read_back(storage: Storage, remote_path: str, local_path: Path) -> None:
    storage.read(remote_path, local_path)
    if (found := local_path.read_bytes()) != _CONTENT:
        raise _OtherContent(f"wrote {len(_CONTENT)} bytes to {remote_path} and read other {len(found)} bytes back; who else writes there?")


def _clean_up(storage: Storage, remote_paths: set[str]) -> Iterator[Step]:
    for remote_path in sorted(remote_paths):
        began = time.monotonic()
        try:
            storage.delete(remote_path)
        except StorageError as error:
            # Where nothing was written nothing is left, whatever forbids to delete it.
            with suppress(StorageError):
                if storage.exists(remote_path):
                    yield Step("delete", time.monotonic() - began, f"the trial's file is left behind: {error}")
