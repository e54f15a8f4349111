"""Publishing: what is tried again, what is not, and what counts as done."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.base import Storage, Upload
from dinmo_pipeline.storages.local.spec import LocalFolder, LocalFolderSpec
from dinmo_pipeline.storages.publish import Parcel, Publisher


class Shaky(LocalFolder):
    """A folder whose connection fails: each fault is raised once, before or after the work is done."""

    faults: ClassVar[list[tuple[str, str, Exception]]] = []
    connections: ClassVar[int] = 0

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        self._around("put", lambda: LocalFolder.put(self, local_path, remote_path))

    def move(self, remote_path: str, target_path: str) -> None:
        self._around("move", lambda: LocalFolder.move(self, remote_path, target_path))

    def delete(self, remote_path: str) -> None:
        self._around("delete", lambda: LocalFolder.delete(self, remote_path))

    def _around(self, name: str, work: Callable[[], None]) -> None:
        for when in ("before", "after"):
            if self.faults and self.faults[0][:2] == (when, name):
                raise self.faults.pop(0)[2]
            if when == "before":
                work()


class ShakySpec(LocalFolderSpec):
    """Counts how often it is connected to."""

    def connect(self, project_root: Path) -> Shaky:
        Shaky.connections += 1
        return Shaky(name=self.name, root=project_root / self.path)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    Shaky.faults, Shaky.connections = [], 0
    (tmp_path / "out").mkdir()
    (tmp_path / "staged").write_bytes(b"rows")
    return Publisher(ShakySpec(name="out", path="out", retries=3), tmp_path, first_pause_s=0.001)


PARCEL = Parcel(".dinmo-1.part", "e.csv", 4, hashlib.sha256(b"rows").hexdigest())
LOST = TransientStorageError("the connection was lost")


def test_transient_fault_is_tried_again_on_a_new_connection(publisher: Publisher, tmp_path: Path) -> None:
    Shaky.faults = [("before", "put", LOST), ("after", "put", LOST)]
    publisher.bring(tmp_path / "staged", PARCEL)
    assert (tmp_path / "out" / PARCEL.temporary_path).read_bytes() == b"rows"
    assert Shaky.connections == 3


def test_transient_fault_that_stays_is_raised_after_the_retries(publisher: Publisher, tmp_path: Path) -> None:
    Shaky.faults = [("before", "put", LOST)] * 9
    with pytest.raises(TransientStorageError, match="lost"):
        publisher.bring(tmp_path / "staged", PARCEL)
    assert len(Shaky.faults) == 9 - 4


def test_permanent_fault_is_raised_at_once(publisher: Publisher, tmp_path: Path) -> None:
    Shaky.faults = [("before", "put", PermanentStorageError("no right"))] * 9
    with pytest.raises(PermanentStorageError, match="no right"):
        publisher.bring(tmp_path / "staged", PARCEL)
    assert len(Shaky.faults) == 8


def test_move_whose_answer_was_lost_is_done(publisher: Publisher, tmp_path: Path) -> None:
    publisher.bring(tmp_path / "staged", PARCEL)
    Shaky.faults = [("after", "move", LOST)]
    publisher.show(PARCEL)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["e.csv"]
    assert publisher.is_shown(PARCEL)
    assert not publisher.is_waiting(PARCEL)


def test_move_of_what_somebody_else_took_is_an_error(publisher: Publisher, tmp_path: Path) -> None:
    publisher.bring(tmp_path / "staged", PARCEL)
    (tmp_path / "out" / PARCEL.temporary_path).unlink()
    (tmp_path / "out" / "e.csv").write_bytes(b"else")
    with pytest.raises(PermanentStorageError):
        publisher.show(PARCEL)


class Uploading(Shaky):
    """A folder that sends a file's bytes and shows it later, in one step, as object stores do."""

    moves = False  # type: ignore[assignment] # a local folder can
    aborted: ClassVar[list[str]] = []

    def upload(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> Upload:
        return Upload(local_path, remote_path, sha256, sent=local_path.read_bytes())

    def complete(self, upload: Upload) -> None:
        self._around("complete", lambda: LocalFolder.put(self, upload.local_path, upload.remote_path))

    def abort(self, upload: Upload) -> None:
        self._around("abort", lambda: self.aborted.append(upload.remote_path))


class UploadingSpec(LocalFolderSpec):
    @property
    def moves(self) -> bool:
        return False

    def connect(self, project_root: Path) -> Uploading:
        return Uploading(name=self.name, root=project_root / self.path)


@pytest.fixture
def uploader(publisher: Publisher, tmp_path: Path) -> Publisher:
    Uploading.aborted = []
    return Publisher(UploadingSpec(name="out", path="out", retries=3), tmp_path, first_pause_s=0.001)


def test_upload_is_seen_when_it_is_shown_and_not_before(uploader: Publisher, tmp_path: Path) -> None:
    with uploader:
        uploader.bring(tmp_path / "staged", PARCEL)
        assert list((tmp_path / "out").iterdir()) == []
        uploader.show(PARCEL)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["e.csv"]
    assert Uploading.aborted == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_upload_whose_completion_fails_is_put_as_a_whole(when: str, uploader: Publisher, tmp_path: Path) -> None:
    Shaky.faults = [(when, "complete", LOST), ("before", "put", LOST)]
    uploader.bring(tmp_path / "staged", PARCEL)
    uploader.show(PARCEL)
    assert uploader.is_shown(PARCEL)
    assert Shaky.faults == []


def test_uploads_that_were_not_shown_are_given_up_at_the_end(uploader: Publisher, tmp_path: Path) -> None:
    with uploader:
        uploader.bring(tmp_path / "staged", PARCEL)
        uploader.bring(tmp_path / "staged", replace(PARCEL, path="f.csv"))
        Shaky.faults = [("before", "complete", PermanentStorageError("no right"))]
        with pytest.raises(PermanentStorageError, match="no right"):
            uploader.show(PARCEL)
    assert Uploading.aborted == ["f.csv"]


def test_upload_that_cannot_be_given_up_hides_no_other_error(uploader: Publisher, tmp_path: Path) -> None:
    uploader.bring(tmp_path / "staged", PARCEL)
    Shaky.faults = [("before", "abort", PermanentStorageError("no right"))]
    with pytest.raises(ZeroDivisionError), uploader:
        raise ZeroDivisionError
    assert Shaky.faults == []


def test_part_of_a_file_is_not_waiting(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "out" / PARCEL.temporary_path).write_bytes(b"row")
    assert not publisher.is_waiting(PARCEL)


def test_old_file_of_the_same_size_is_not_shown(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "out" / "e.csv").write_bytes(b"else")
    assert not publisher.is_shown(PARCEL)


def test_tidying_tells_what_it_could_not_delete_and_goes_on(publisher: Publisher, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "out" / name).write_bytes(b"")
    Shaky.faults = [("before", "delete", PermanentStorageError("no right"))]
    notes = publisher.tidy(["a", "b"])
    assert len(notes) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_tidying_where_nobody_answers_stops_at_the_first(publisher: Publisher) -> None:
    Shaky.faults = [("before", "delete", LOST)] * 9
    notes = publisher.tidy(["a", "b", "c"])
    assert len(notes) == 1
    assert "does not answer" in notes[0]
    assert len(Shaky.faults) == 9 - 4


def test_tidying_where_the_login_is_refused_tries_it_once(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = []

    def refuse(*_: object) -> Shaky:
        logins.append(1)
        raise PermanentStorageError("wrong password")

    monkeypatch.setattr(ShakySpec, "connect", refuse)
    assert publisher.tidy(["a", "b", "c"]) == ("temporary files may be left at a destination that could not be entered: wrong password",)
    assert len(logins) == 1


def test_copy_that_is_compared_has_no_name_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.csv").write_bytes(b"a customer")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names: list[Path] = []

    class Read(LocalFolder):
        def read(self, remote_path: str, local_path: Path) -> None:
            super().read(remote_path, local_path)
            names.extend((tmp_path / "temporary").rglob("*"))

    storage = Read(name="partner", root=tmp_path / "there")
    assert Storage.matches(storage, "a.csv", 10, hashlib.sha256(b"a customer").hexdigest())
    assert names == []
