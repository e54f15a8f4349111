"""Somebody else may write to a LocalFolder, too: no link of his leads a verb out of it, planted before or at the very moment."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.local.spec import LocalFolder

_hooks: list[Callable[[str, tuple[Any, ...]], None]] = []
_is_installed = False


@contextmanager
def attacker(act: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Let `act` have its turn just before each call of this process to the file system: the worst moment there is."""
    global _is_installed

    def turn(event: str, arguments: tuple[Any, ...]) -> None:
        # What the attacker does himself is no turn.
        for hook in [_hooks.pop()] if _hooks else []:
            try:
                hook(event, arguments)
            finally:
                _hooks.append(hook)

    if not _is_installed:
        sys.addaudithook(turn)
        _is_installed = True
    _hooks.append(act)
    try:
        yield
    finally:
        _hooks.clear()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the service's user that nobody else may touch."""
    path = tmp_path / "home" / "authorized_keys"
    path.parent.mkdir(mode=0o700)
    path.write_text("ssh-ed25519 OWNER\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def storage(tmp_path: Path) -> LocalFolder:
    (tmp_path / "out").mkdir()
    (tmp_path / "staged").write_bytes(b"\nssh-ed25519 ATTACKER\n")
    (tmp_path / "staged").chmod(0o600)
    return LocalFolder(name="out", root=tmp_path / "out")


def is_untouched(victim: Path) -> bool:
    return victim.read_text() == "ssh-ed25519 OWNER\n" and victim.stat().st_mode & 0o777 == 0o600


def names(arguments: tuple[Any, ...], name: str) -> bool:
    return any(isinstance(argument, str | os.PathLike) and Path(argument).name == name for argument in arguments)


def put_on_another_file_system(storage: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    storage.put(tmp_path / "staged", "a.part")


def test_link_that_is_planted_before_the_copy_is_not_written_through(
    storage: LocalFolder, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, planted = tmp_path / "out" / "a.part", []

    def plant(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and names(arguments, target.name) and arguments[2] & os.O_CREAT:
            target.symlink_to(victim)
            planted.append(event)

    with attacker(plant), pytest.raises(TransientStorageError, match="something else writes there"):
        put_on_another_file_system(storage, tmp_path, monkeypatch)
    assert planted
    assert is_untouched(victim)


@pytest.mark.parametrize("device", ["the same", "another"])
def test_link_that_is_swapped_in_before_the_rights_are_set_is_not_followed(
    device: str, storage: LocalFolder, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, swapped = tmp_path / "out" / "a.part", []

    def swap(event: str, _arguments: tuple[Any, ...]) -> None:
        if event == "os.chmod":
            target.unlink()
            target.symlink_to(victim)
            swapped.append(event)

    with attacker(swap), suppress(StorageError):
        if device == "another":
            put_on_another_file_system(storage, tmp_path, monkeypatch)
        else:
            storage.put(tmp_path / "staged", "a.part")
    assert swapped
    assert is_untouched(victim)


@pytest.mark.parametrize("verb", ["put", "read", "delete", "move", "move to", "list", "make_folder"])
def test_folder_that_becomes_a_link_is_not_entered(verb: str, storage: LocalFolder, victim: Path, tmp_path: Path) -> None:
    """The attacker is asked for nothing: his link lies there already when the verb begins."""
    (tmp_path / "out" / "in").symlink_to(victim.parent)
    (tmp_path / "out" / "a.csv").write_text("a")
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: storage.put(tmp_path / "staged", "in/authorized_keys"),
        "read": lambda: storage.read("in/authorized_keys", tmp_path / "read"),
        "delete": lambda: storage.delete("in/authorized_keys"),
        "move": lambda: storage.move("in/authorized_keys", "taken"),
        "move to": lambda: storage.move("a.csv", "in/authorized_keys"),
        "list": lambda: storage.list("in"),
        "make_folder": lambda: storage.make_folder("in/deeper"),
    }
    with pytest.raises(PermanentStorageError, match=r"in is a symbolic link, and none is followed below .*mount there what it leads to"):
        acts[verb]()
    assert is_untouched(victim)
    assert [path.name for path in victim.parent.iterdir()] == [victim.name]
    assert not (tmp_path / "read").exists()


def test_folder_that_is_swapped_for_a_link_in_the_middle_of_a_verb_is_still_the_one_that_was_opened(
    storage: LocalFolder, victim: Path, tmp_path: Path
) -> None:
    folder, moved = tmp_path / "out" / "in", tmp_path / "out" / "moved"
    folder.mkdir()

    def swap(event: str, _arguments: tuple[Any, ...]) -> None:
        if event == "os.link" and not moved.exists():
            folder.rename(moved)
            folder.symlink_to(victim.parent)

    with attacker(swap):
        storage.put(tmp_path / "staged", "in/authorized_keys")
    assert is_untouched(victim)
    assert (moved / "authorized_keys").read_bytes() == b"\nssh-ed25519 ATTACKER\n"


@pytest.mark.parametrize("path", ["../home/authorized_keys", "in/../../home/authorized_keys", "ABSOLUTE"])
@pytest.mark.parametrize("verb", ["put", "read", "stat", "matches", "delete", "move", "move to", "list", "make_folder"])
def test_path_that_leaves_the_root_is_refused_by_every_verb(
    verb: str, path: str, storage: LocalFolder, victim: Path, tmp_path: Path
) -> None:
    path = path.replace("ABSOLUTE", str(victim))
    (tmp_path / "out" / "a.csv").write_text("a")
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: storage.put(tmp_path / "staged", path),
        "read": lambda: storage.read(path, tmp_path / "read"),
        "stat": lambda: storage.stat(path),
        "matches": lambda: storage.matches(path, 1, "0" * 64),
        "delete": lambda: storage.delete(path),
        "move": lambda: storage.move(path, "taken"),
        "move to": lambda: storage.move("a.csv", path),
        "list": lambda: storage.list(path),
        "make_folder": lambda: storage.make_folder(path),
    }
    with pytest.raises(PermanentStorageError, match="it leaves the storage's path, so nothing was done there"):
        acts[verb]()
    assert is_untouched(victim)
    assert not (tmp_path / "read").exists()


def test_file_that_is_a_link_is_none_and_is_replaced(storage: LocalFolder, victim: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "a.csv").symlink_to(victim)
    assert storage.stat("a.csv") is None
    assert not storage.matches("a.csv", victim.stat().st_size, "0" * 64)
    storage.put(tmp_path / "staged", "b.part")
    storage.move("b.part", "a.csv")
    assert not (tmp_path / "out" / "a.csv").is_symlink()
    assert is_untouched(victim)
