"""What every storage does, whatever is behind it: one suite, run on each place of `conftest.PLACES`.

A test asks the place and the connection what they can do, never which storage it is.
"""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.errors import LimitError, PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline_tests.storages.places import Place

MIB = 1024 * 1024
NAMES = [
    "two words.csv",
    " leading and trailing ",
    "élève-Ünïcode-日本語-🎁.csv",
    'it\'s "quoted".csv',
    "a#b%20c%d+e&f=g?h.csv",
    ";semicolon,comma$dollar(round)[square]{curly}!~@.csv",
    "star*.csv",
    ".hidden.csv",
    "-dash.csv",
    "n" * 196 + ".csv",
]


class StorageContract:
    """The suite; a subclass whose name begins with Test runs it on the fixture `place`."""

    def test_put_then_move_shows_the_bytes_and_leaves_nothing_else(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            publish(storage, tmp_path, b"id,age\n1,41\n", place.path("people.csv"))
            assert content(storage, tmp_path, place.path("people.csv")) == b"id,age\n1,41\n"
            assert {file.name: file.size for file in storage.list(place.folder)} == {"people.csv": 12}

    def test_folder_with_too_many_files_is_not_listed(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            for name in ("a.csv", "b.csv", "c.csv"):
                storage.put(local(tmp_path, b"1"), place.path(name))
        (place.project_root / "pyproject.toml").write_text("[tool.dinmo.limits]\nlisting_entries = 2\n")
        with place.connect() as storage, pytest.raises(LimitError, match="more than 2 entries lie there"):
            storage.list(place.folder)

    def test_file_that_is_longer_than_it_was_listed_is_not_read(self, place: Place, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        with place.connect() as storage:
            storage.make_folder(place.folder)
            storage.put(local(tmp_path, b"12345"), place.path("a.csv"))
            storage.read_listed(place.path("a.csv"), copy, 5)
            assert copy.read_bytes() == b"12345"
            with pytest.raises(LimitError, match="the listing shows it with 4 bytes, and the server has more: 5"):
                storage.read_listed(place.path("a.csv"), copy, 4)

    def test_put_over_a_file_replaces_it(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            for data in (b"a long first version\n", b"short\n", b""):
                storage.put(local(tmp_path, data), place.path("a.csv"))
                assert content(storage, tmp_path, place.path("a.csv")) == data
            assert [file.name for file in storage.list(place.folder)] == ["a.csv"]

    def test_move_over_a_file_replaces_it(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            skip_where_written_in_place(storage, place)
            storage.make_folder(place.folder)
            storage.put(local(tmp_path, b"old and longer"), place.path("a.csv"))
            storage.put(local(tmp_path, b"new"), place.path(".a.part"))
            storage.move(place.path(".a.part"), place.path("a.csv"))
            assert content(storage, tmp_path, place.path("a.csv")) == b"new"
            assert storage.stat(place.path(".a.part")) is None

    def test_reader_that_holds_the_old_file_reads_it_to_its_end(self, place: Place, tmp_path: Path) -> None:
        if place.disk is None:
            # A reader of an object store has asked for one version of the object, and is answered from that.
            pytest.skip("nothing of this storage can be held open")
        with place.connect() as storage:
            skip_where_written_in_place(storage, place)
            storage.make_folder(place.folder)
            publish(storage, tmp_path, b"old" * MIB, place.path("a.csv"))
            with (place.disk / "a.csv").open("rb") as reader:
                beginning = reader.read(1000)
                publish(storage, tmp_path, b"new", place.path("a.csv"))
                assert beginning + reader.read() == b"old" * MIB
            assert content(storage, tmp_path, place.path("a.csv")) == b"new"

    def test_empty_file_arrives(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            publish(storage, tmp_path, b"", place.path("empty.csv"))
            assert storage.may_be(place.path("empty.csv"), 0)
            assert content(storage, tmp_path, place.path("empty.csv")) == b""

    @pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
    def test_any_name_works_for_every_request(self, name: str, place: Place, tmp_path: Path) -> None:
        if place.refuses(name):
            with place.connect() as storage:
                storage.make_folder(place.folder)
                with pytest.raises(PermanentStorageError, match="choose a plainer one"):
                    storage.put(local(tmp_path, b"x"), place.path(name))
                assert storage.list(place.folder) == []
            return
        folder = place.path(f"in {name[:100]}")
        with place.connect() as storage:
            storage.make_folder(folder)
            publish(storage, tmp_path, b"x", f"{folder}/{name}")
            assert [file.name for file in storage.list(folder)] == [name]
            found = storage.stat(f"{folder}/{name}")
            assert found is not None
            assert (found.name, found.size) == (name, 1)
            assert content(storage, tmp_path, f"{folder}/{name}") == b"x"
            storage.delete(f"{folder}/{name}")
            assert storage.list(folder) == []

    def test_long_names_with_the_same_beginning_are_two_files(self, place: Place, tmp_path: Path) -> None:
        names = [f"{'n' * 150}_{ending}.csv" for ending in ("added", "removed")]
        with place.connect() as storage:
            storage.make_folder(place.folder)
            for name in names:
                publish(storage, tmp_path, name.encode(), place.path(name))
            assert [content(storage, tmp_path, place.path(name)) for name in names] == [name.encode() for name in names]

    def test_make_folder_makes_all_its_parents_and_may_be_repeated(self, place: Place, tmp_path: Path) -> None:
        deep = place.path("/".join("abcdefgh"))
        with place.connect() as storage:
            storage.make_folder(deep)
            storage.make_folder(deep)
            publish(storage, tmp_path, b"x", f"{deep}/a.csv")
            assert [file.name for file in storage.list(deep)] == ["a.csv"]

    def test_list_has_files_and_no_folders(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.path("inner"))
            publish(storage, tmp_path, b"12", place.path("inner/b.csv"))
            publish(storage, tmp_path, b"1", place.path("a.csv"))
            assert [(file.name, file.size) for file in storage.list(place.folder)] == [("a.csv", 1)]

    def test_list_of_a_missing_folder_is_empty_and_says_so(self, place: Place) -> None:
        with place.connect() as storage:
            missing = storage.list(place.path("missing"))
            assert (list(missing), missing.is_missing) == ([], place.folders)

    def test_list_of_many_files_is_whole(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            source = local(tmp_path, b"x")
            for number in range(150):
                storage.put(source, place.path(f"{number}.csv"))
            assert {file.name for file in storage.list(place.folder)} == {f"{number}.csv" for number in range(150)}

    def test_modified_is_when_the_file_was_written(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            publish(storage, tmp_path, b"x", place.path("a.csv"))
            found = storage.stat(place.path("a.csv"))
            assert found is not None
            for file in (found, *storage.list(place.folder)):
                assert file.modified is None or abs(file.modified - datetime.now(UTC)) < timedelta(minutes=3)

    def test_what_is_missing_has_no_size_and_matches_nothing(self, place: Place) -> None:
        empty = hashlib.sha256(b"").hexdigest()
        with place.connect() as storage:
            storage.make_folder(place.folder)
            for path in (place.path("missing.csv"), place.path("missing/a.csv"), place.folder):
                assert storage.stat(path) is None
                assert not storage.exists(path)
                assert not storage.matches(path, 0, empty)

    def test_matches_what_was_put_and_nothing_else(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            publish(storage, tmp_path, b"content", place.path("a.csv"))
            assert storage.matches(place.path("a.csv"), 7, hashlib.sha256(b"content").hexdigest())
            assert not storage.matches(place.path("a.csv"), 8, hashlib.sha256(b"content!").hexdigest())
            assert not storage.matches(place.path("a.csv"), 7, hashlib.sha256(b"another").hexdigest())

    def test_delete_of_a_missing_file_is_fine(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            storage.put(local(tmp_path, b"x"), place.path("a.csv"))
            for _ in range(2):
                storage.delete(place.path("a.csv"))
            storage.delete(place.path("missing/a.csv"))
            assert list(storage.list(place.folder)) == []

    def test_put_into_a_missing_folder_says_so_and_is_not_tried_again(self, place: Place, tmp_path: Path) -> None:
        if not place.folders:
            # A folder is a part of the object's name: to put into a new one is what test_object_stores does everywhere.
            pytest.skip("this storage has no folders that could be missing")
        with place.connect() as storage, pytest.raises(PermanentStorageError, match=r"missing/a\.csv") as caught:
            storage.put(local(tmp_path, b"x"), place.path("missing/a.csv"))
        assert place.spec.name in str(caught.value)

    def test_read_of_a_missing_file_says_so_and_is_not_tried_again(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            with pytest.raises(PermanentStorageError, match=r"missing\.csv"):
                storage.read(place.path("missing.csv"), tmp_path / "read")

    def test_put_of_a_missing_local_file_names_it(self, place: Place, tmp_path: Path) -> None:
        with place.connect() as storage:
            storage.make_folder(place.folder)
            with pytest.raises(PermanentStorageError, match="no-such-file"):
                storage.put(tmp_path / "no-such-file", place.path("a.csv"))

    def test_large_file_arrives_whole_and_is_read_back_whole(self, place: Place, tmp_path: Path) -> None:
        data = random.Random(1).randbytes(64 * MIB + 1)
        with place.connect() as storage:
            storage.make_folder(place.folder)
            publish(storage, tmp_path, data, place.path("large.bin"))
            assert storage.may_be(place.path("large.bin"), len(data))
            assert content(storage, tmp_path, place.path("large.bin")) == data

    def test_connections_work_side_by_side(self, place: Place, tmp_path: Path) -> None:
        def deliver(worker: int) -> None:
            own = tmp_path / str(worker)
            own.mkdir()
            with place.connect() as storage:
                storage.make_folder(place.path("shared/deep"))
                for number in range(10):
                    publish(
                        storage,
                        own,
                        f"{worker} {number}".encode() * 10_000,
                        place.path(f"shared/deep/{worker}_{number}.csv"),
                        attempt=str(worker),
                    )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(deliver, range(4)))
        with place.connect() as storage:
            assert {file.name: file.size for file in storage.list(place.path("shared/deep"))} == {
                f"{worker}_{number}.csv": 30_000 for worker in range(4) for number in range(10)
            }

    def test_two_deliveries_to_one_name_leave_one_of_them_whole(self, place: Place, tmp_path: Path) -> None:
        versions = [bytes([65 + worker]) * 3 * MIB for worker in range(2)]

        def deliver(worker: int) -> None:
            own = tmp_path / str(worker)
            own.mkdir()
            with place.connect() as storage:
                skip_where_written_in_place(storage, place)
                for _ in range(5):
                    publish(storage, own, versions[worker], place.path("same.csv"), attempt=str(worker))

        with place.connect() as storage:
            storage.make_folder(place.folder)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(deliver, range(2)))
            assert content(storage, tmp_path, place.path("same.csv")) in versions
            assert [file.name for file in storage.list(place.folder)] == ["same.csv"]

    def test_reader_sees_the_old_file_until_the_new_one_is_whole(self, place: Place, tmp_path: Path) -> None:
        new = b"n" * 3 * MIB
        with place.connect() as reader, HeldUpload(place, tmp_path, new, "a.csv", old=b"old") as upload:
            assert content(reader, tmp_path, place.path("a.csv")) == b"old"
            assert [file.size for file in reader.list(place.folder) if file.name == "a.csv"] == [3]
            upload.finish()
            assert content(reader, tmp_path, place.path("a.csv")) == new
            assert [file.name for file in reader.list(place.folder)] == ["a.csv"]

    def test_reader_sees_nothing_under_a_new_name_until_the_file_is_whole(self, place: Place, tmp_path: Path) -> None:
        new = b"n" * 3 * MIB
        with place.connect() as reader, HeldUpload(place, tmp_path, new, "a.csv", old=None) as upload:
            assert reader.stat(place.path("a.csv")) is None
            assert "a.csv" not in [file.name for file in reader.list(place.folder)]
            upload.finish()
            assert content(reader, tmp_path, place.path("a.csv")) == new

    def test_connection_that_dies_in_the_middle_leaves_the_old_file_and_may_be_tried_again(self, place: Place, tmp_path: Path) -> None:
        if place.relay is None or place.relayed is None:
            # A local folder, and the second FTP servers, which are there for their dialect: the first of each kind has a relay.
            pytest.skip("this storage has no connection that could die")
        new = random.Random(1).randbytes(3 * MIB)
        with place.connect() as reader:
            reader.make_folder(place.folder)
            publish(reader, tmp_path, b"old", place.path("a.csv"))
            with place.relayed.connect(place.project_root) as storage:
                skip_where_written_in_place(storage, place)
                place.relay.cut_after(MIB)
                with pytest.raises(TransientStorageError) as caught:
                    publish(storage, tmp_path, new, place.path("a.csv"))
                assert place.folder in str(caught.value)
            place.relay.let_pass()
            assert content(reader, tmp_path, place.path("a.csv")) == b"old"
            with place.relayed.connect(place.project_root) as storage:
                publish(storage, tmp_path, new, place.path("a.csv"))
            assert content(reader, tmp_path, place.path("a.csv")) == new
            assert [file.name for file in reader.list(place.folder)] == ["a.csv"]

    def test_size_that_is_wrong_after_the_upload_is_found(self, place: Place, tmp_path: Path) -> None:
        if place.disk is None or place.relay is None:
            # The file must lie on a disk of ours while it is held up; an object store has none until it is whole, and checks each block.
            pytest.skip("the uploads of this storage cannot be changed while they run")
        with place.connect() as reader, HeldUpload(place, tmp_path, b"n" * 3 * MIB, "a.csv", old=b"old") as upload:
            uploading = next(file for file in place.disk.iterdir() if not reader_sees(file, reader, place))
            with uploading.open("r+b") as meddler:
                meddler.truncate(5 * MIB)
            with pytest.raises(TransientStorageError, match=r"3,145,728.*5,242,880"):
                upload.finish()
            assert content(reader, tmp_path, place.path("a.csv")) == b"old"


class HeldUpload:
    """A delivery that stops half-way until `finish`; where nothing can be held, it stops between the put and the move."""

    def __init__(self, place: Place, tmp_path: Path, data: bytes, name: str, *, old: bytes | None) -> None:
        self._place, self._path, self._data = place, tmp_path, data
        self._target, self._part = place.path(name), place.path(f".{name}.part")
        self._error: BaseException | None = None
        with place.connect() as storage:
            storage.make_folder(place.folder)
            if old is not None:
                publish(storage, tmp_path, old, self._target)
            skip_where_written_in_place(storage, place)

    def __enter__(self) -> HeldUpload:
        relay = self._place.relay
        spec = self._place.relayed or self._place.spec
        self._storage = spec.connect(self._place.project_root)
        if relay is None and not self._storage.moves:
            # Neither between the put and the move, nor in the middle.
            pytest.skip("no upload to this storage can be held")
        self._thread = threading.Thread(target=self._put)
        if relay is not None:
            relay.hold_after(len(self._data) // 2)
        self._thread.start()
        if relay is not None:
            relay.wait_until_held()
        else:
            self._thread.join()
        return self

    def __exit__(self, *_: object) -> None:
        if self._place.relay is not None:
            self._place.relay.let_pass()
        self._thread.join()
        self._storage.__exit__(None, None, None)

    def finish(self) -> None:
        """Let the upload end, and show the file; raises what the upload raised."""
        if self._place.relay is not None:
            self._place.relay.let_pass()
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._storage.moves:
            self._storage.move(self._part, self._target)

    def _put(self) -> None:
        try:
            self._storage.put(local(self._path, self._data, name="held"), self._part if self._storage.moves else self._target)
        except StorageError as error:
            self._error = error


def skip_where_written_in_place(storage: Storage, place: Place) -> None:
    """Skip what `publish: direct` gives up, as docs/destinations.md says: it is for servers that forbid renaming, its readers may see a
    part, and two writers mix.
    """
    if not storage.moves and place.disk is not None:
        pytest.skip("this place is written in place, as `publish: direct` says")


def publish(storage: Storage, tmp_path: Path, data: bytes, remote_path: str, *, attempt: str = "0") -> None:
    """Deliver as the publisher does: under another name and moved where the storage can, and nothing left behind by an error."""
    source = local(tmp_path, data)
    if not storage.moves:
        storage.put(source, remote_path)
        return
    folder = remote_path.rpartition("/")[0]
    part = f"{folder}/.part-{attempt}"
    try:
        storage.put(source, part)
    except StorageError:
        with suppress(StorageError):
            storage.delete(part)
        raise
    storage.move(part, remote_path)


def local(tmp_path: Path, data: bytes, *, name: str = "staged") -> Path:
    """A new file of this machine with these bytes."""
    path = tmp_path / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def content(storage: Storage, tmp_path: Path, remote_path: str) -> bytes:
    """The remote file's bytes, by way of the storage."""
    storage.read(remote_path, tmp_path / "read-back")
    return (tmp_path / "read-back").read_bytes()


def reader_sees(file: Path, reader: Storage, place: Place) -> bool:
    """Whether this is the file that was there before the upload."""
    return file.name == "a.csv" and reader.may_be(place.path("a.csv"), file.stat().st_size)
