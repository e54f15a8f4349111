"""A folder of this machine, in what only it has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, StorageError
from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline_tests.servers.disks import small_quota


def test_quota_that_is_used_up_is_told(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(5 * 1024 * 1024))
    with (
        small_quota(tmp_path / "limited", megabytes=2) as folder,
        LocalFolderSpec(name="out", path=str(folder)).connect(tmp_path) as storage,
    ):
        with pytest.raises(PermanentStorageError, match=r"the quota of the user .* is used up: free some room or raise it"):
            storage.put(big, "a.csv")
        storage.delete("a.csv")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("refused", ["chmod", "link", "fsync"])
@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS])
def test_share_that_refuses_a_nicety_takes_the_file(refused: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fchmod" if refused == "chmod" else refused, refuse)
    staged = tmp_path / "staged"
    staged.write_bytes(b"rows")
    staged.chmod(0o600) if refused != "chmod" else None
    with LocalFolderSpec(name="out", path="out").connect(tmp_path) as storage:
        storage.make_folder(".")
        storage.put(staged, ".a.part")
        storage.move(".a.part", "a.csv")
    assert (tmp_path / "out" / "a.csv").read_bytes() == b"rows"
    assert (tmp_path / "out" / "a.csv").stat().st_mode & 0o777 == 0o666 & ~_umask()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_does_not_reach_the_disk_is_told(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "staged").write_bytes(b"rows")
    with LocalFolderSpec(name="out", path=".").connect(tmp_path) as storage, pytest.raises(StorageError):
        storage.put(tmp_path / "staged", "a.csv")


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


@pytest.mark.parametrize(
    ("told", "file", "folder"), [("0022", 0o644, 0o755), ("0027", 0o640, 0o750), ("0000", 0o666, 0o777), (None, 0o600, 0o700)]
)
def test_what_is_delivered_has_the_rights_that_it_is_told_whatever_the_process_gives(
    told: str | None, file: int, folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is not None:
        monkeypatch.setenv("DINMO_UMASK", told)
    (tmp_path / "staged").write_bytes(b"rows")
    before = os.umask(0o077)
    try:
        with LocalFolderSpec(name="out", path="parent/out").connect(tmp_path) as storage:
            storage.make_folder("in/deeper")
            storage.put(tmp_path / "staged", "in/deeper/a.csv")
    finally:
        os.umask(before)
    made = [tmp_path / path for path in ("parent", "parent/out", "parent/out/in", "parent/out/in/deeper")]
    assert {path.stat().st_mode & 0o777 for path in made} == {folder}
    assert (made[-1] / "a.csv").stat().st_mode & 0o777 == file


def test_umask_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_UMASK", "rwx")
    with (
        LocalFolderSpec(name="out", path="out").connect(tmp_path) as storage,
        pytest.raises(PermanentStorageError, match="DINMO_UMASK is 'rwx'"),
    ):
        storage.make_folder("in")
