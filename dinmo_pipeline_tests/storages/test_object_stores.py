"""What every object store does when the network or the store fails in the middle of a delivery, on real servers."""

from __future__ import annotations

import gc
import hashlib
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.object_store.contract import ObjectStorage, content_type, object_key
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.running import free_port
from dinmo_pipeline_tests.storages.cloud_places import azure_container, gcs_bucket, s3_bucket
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.places import Place

STORES = {"azure": azure_container, "gcs": gcs_bucket, "s3": s3_bucket}
SMALL = b"id,age\n1,41\n"
# Of several blocks.
LARGE = random.Random(1).randbytes(40 * MIB)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in STORES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "project"
    root.mkdir()
    made = STORES[request.param](request, root, f"test {uuid.uuid4().hex[:12]}")
    yield made
    assert made.relay is not None
    made.relay.let_pass()


@pytest.fixture
def front(place: Place) -> Iterator[Front]:
    with Front.listening(urlsplit(address_of(place.spec)).port or 0) as made:
        yield made


def address_of(spec: StorageSpec) -> str:
    return str(getattr(spec, "account_url", None) or getattr(spec, "endpoint_url", None))


def at_port(place: Place, port: int) -> StorageSpec:
    """The place's storage, reached at another port."""
    field = "account_url" if hasattr(place.spec, "account_url") else "endpoint_url"
    parts = urlsplit(address_of(place.spec))
    return place.spec.model_copy(update={field: parts._replace(netloc=f"{parts.hostname}:{port}").geturl()})


def test_file_that_somebody_else_put_is_known_by_its_content(place: Place) -> None:
    with place.connect() as storage:
        assert isinstance(storage, ObjectStorage)
        # This write leaves no checksum beside the object, as others' do not.
        storage.write_if(place.path("theirs.csv"), SMALL, None, "somebody else")

        assert storage.matches(place.path("theirs.csv"), len(SMALL), hashlib.sha256(SMALL).hexdigest())
        assert not storage.matches(place.path("theirs.csv"), len(SMALL), hashlib.sha256(b"other").hexdigest())


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_delivery_writes_and_asks_for_nothing_else(data: bytes, place: Place, front: Front, tmp_path: Path) -> None:
    with at_port(place, front.own_port).connect(place.project_root) as storage:
        storage.make_folder(place.folder)
        storage.put(local(tmp_path, data), place.path("a.csv"))
    assert {request.method for request in front.requests} <= {"PUT", "POST"}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("status", [500, 503])
def test_write_that_is_refused_once_succeeds(status: int, data: bytes, place: Place, front: Front, tmp_path: Path) -> None:
    front.fail_writes(1, status)
    with at_port(place, front.own_port).connect(place.project_root) as storage:
        storage.put(local(tmp_path, data), place.path("a.csv"))
        assert content(storage, tmp_path, place.path("a.csv")) == data


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_write_that_is_refused_again_and_again_may_be_tried_later(status: int, place: Place, front: Front, tmp_path: Path) -> None:
    front.fail_writes(50, status)
    with at_port(place, front.own_port).connect(place.project_root) as storage:
        with pytest.raises(TransientStorageError, match=rf"a\.csv.*answered {status}"):
            storage.put(local(tmp_path, SMALL), place.path("a.csv"))
        front.reset()
        storage.put(local(tmp_path, SMALL), place.path("a.csv"))
        assert content(storage, tmp_path, place.path("a.csv")) == SMALL


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("data", [SMALL * 100_000, LARGE], ids=["small", "large"])
def test_bytes_that_change_on_the_way_are_found(data: bytes, place: Place, front: Front, tmp_path: Path) -> None:
    with at_port(place, front.own_port).connect(place.project_root) as storage:
        front.corrupt_writes(50)
        # Azurite's code for it is not Azure's own, which counts as worth another try.
        with pytest.raises(StorageError, match=r"a\.csv"):
            storage.put(local(tmp_path, data), place.path("a.csv"))
        front.reset()
        storage.put(local(tmp_path, data), place.path("a.csv"))
        assert content(storage, tmp_path, place.path("a.csv")) == data


@pytest.mark.usefixtures("short_pauses")
def test_connection_that_dies_between_blocks_leaves_the_old_file(place: Place, tmp_path: Path) -> None:
    assert place.relay is not None
    assert place.relayed is not None
    with place.connect() as reader:
        reader.put(local(tmp_path, b"old"), place.path("a.csv"))
        with place.relayed.connect(place.project_root) as storage:
            place.relay.cut_after(24 * MIB)
            with pytest.raises(TransientStorageError, match=r"a\.csv"):
                storage.put(local(tmp_path, LARGE), place.path("a.csv"))
        place.relay.let_pass()
        assert content(reader, tmp_path, place.path("a.csv")) == b"old"
        with place.relayed.connect(place.project_root) as storage:
            storage.put(local(tmp_path, LARGE), place.path("a.csv"))
        assert content(reader, tmp_path, place.path("a.csv")) == LARGE
        assert [file.name for file in reader.list(place.folder)] == ["a.csv"]


def test_reader_sees_the_old_file_until_the_last_block_has_come(place: Place, tmp_path: Path) -> None:
    assert place.relay is not None
    assert place.relayed is not None
    with place.connect() as reader, place.relayed.connect(place.project_root) as storage:
        reader.put(local(tmp_path, b"old"), place.path("a.csv"))
        place.relay.hold_after(36 * MIB)
        upload = threading.Thread(target=storage.put, args=(local(tmp_path, LARGE), place.path("a.csv")))
        upload.start()
        place.relay.wait_until_held()
        seen = content(reader, tmp_path, place.path("a.csv")), [file.name for file in reader.list(place.folder)]
        place.relay.let_pass()
        upload.join()
        assert seen == (b"old", ["a.csv"])
        assert content(reader, tmp_path, place.path("a.csv")) == LARGE


@pytest.mark.parametrize("size", [12, 9 * MIB, 40 * MIB], ids=["small", "of one block", "of several"])
def test_upload_is_seen_when_another_connection_has_completed_it(size: int, place: Place, tmp_path: Path) -> None:
    new = LARGE[:size]
    with place.connect() as reader:
        reader.put(local(tmp_path, b"old"), place.path("a.csv"))
        with place.connect() as storage:
            upload = storage.upload(local(tmp_path, new), place.path("a.csv"), sha256=hashlib.sha256(new).hexdigest())
        assert content(reader, tmp_path, place.path("a.csv")) == b"old"
        with place.connect() as storage:
            storage.complete(upload)
        assert content(reader, tmp_path, place.path("a.csv")) == new
        assert reader.matches(place.path("a.csv"), size, hashlib.sha256(new).hexdigest())
        assert [file.name for file in reader.list(place.folder)] == ["a.csv"]


@pytest.mark.parametrize("aborted", [True, False], ids=["aborted", "forgotten"])
def test_upload_that_is_not_completed_is_never_seen(aborted: bool, place: Place, tmp_path: Path) -> None:
    with place.connect() as reader:
        reader.put(local(tmp_path, b"old"), place.path("a.csv"))
        with place.connect() as storage:
            upload = storage.upload(local(tmp_path, LARGE), place.path("a.csv"))
            if aborted:
                storage.abort(upload)
        del upload
        # Python ends what nobody needs any more, and some clients complete an upload when they are ended.
        gc.collect()
        assert content(reader, tmp_path, place.path("a.csv")) == b"old"
        assert [file.name for file in reader.list(place.folder)] == ["a.csv"]


def test_two_deliveries_of_several_blocks_to_one_name_leave_one_of_them_whole(place: Place, tmp_path: Path) -> None:
    versions = [bytes([65 + worker]) * len(LARGE) for worker in range(2)]
    begin = threading.Barrier(2)

    def deliver(worker: int) -> None:
        with place.connect() as storage:
            source = local(tmp_path, versions[worker], name=str(worker))
            begin.wait()
            # Azure ends an upload when another one to the same name is committed; a publisher tries again.
            with suppress(TransientStorageError):
                storage.put(source, place.path("a.csv"))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, range(2)))
    with place.connect() as reader:
        assert content(reader, tmp_path, place.path("a.csv")) in versions


def test_large_file_matches_by_its_recorded_checksum(place: Place, tmp_path: Path) -> None:
    with place.connect() as storage:
        storage.put(local(tmp_path, LARGE), place.path("a.csv"))
        assert storage.matches(place.path("a.csv"), len(LARGE), hashlib.sha256(LARGE).hexdigest())
        assert not storage.matches(place.path("a.csv"), len(LARGE), hashlib.sha256(b"other").hexdigest())


def test_move_takes_content_and_checksum_along(place: Place, tmp_path: Path) -> None:
    with place.connect() as storage:
        for name, data in (("a.csv", LARGE), ("imports/a.csv", b"old")):
            storage.put(local(tmp_path, data), place.path(name))
        storage.move(place.path("a.csv"), place.path("imports/a.csv"))
        assert storage.stat(place.path("a.csv")) is None
        assert content(storage, tmp_path, place.path("imports/a.csv")) == LARGE
        assert storage.matches(place.path("imports/a.csv"), len(LARGE), hashlib.sha256(LARGE).hexdigest())


def test_move_of_a_missing_file_says_so(place: Place) -> None:
    with place.connect() as storage, pytest.raises(PermanentStorageError, match=r"missing\.csv"):
        storage.move(place.path("missing.csv"), place.path("a.csv"))


def test_file_in_the_root_is_found_there(place: Place, tmp_path: Path) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    with place.connect() as storage:
        storage.put(local(tmp_path, SMALL), f"./{name}")
        assert name in [file.name for file in storage.list(".")]
        assert content(storage, tmp_path, name) == SMALL
        storage.delete(name)
        assert storage.stat(f"./{name}") is None


@pytest.mark.usefixtures("short_pauses")
def test_nothing_listens_may_be_tried_later(place: Place, tmp_path: Path) -> None:
    with (
        at_port(place, free_port()).connect(place.project_root) as storage,
        pytest.raises(TransientStorageError, match="nothing listens there"),
    ):
        storage.put(local(tmp_path, SMALL), "a.csv")


def test_address_is_the_same_with_other_credentials(place: Place) -> None:
    other = {
        "sas_token": {"env": "SAS"},
        "account_key": None,
        "service_account_key": None,
        "access_key_id": None,
        "secret_access_key": None,
    }
    fields = {key: value for key, value in place.spec.model_dump().items() if key not in other}
    again = type(place.spec).model_validate(fields)
    assert again.address == place.spec.address
    assert again.resolved_address(place.project_root) == place.spec.resolved_address(place.project_root)


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        (".", None),
        ("", None),
        ("exports/shop", None),
        ("exports/../shop", None),
        ("..", "leaves the storage's root"),
        ("exports/../../shop", "leaves the storage's root"),
        ("/exports", "write 'exports'"),
        ("/", "write '.'"),
        ("a\0b", "holds a character that no server takes"),
    ],
)
def test_folder_outside_the_root_is_refused(folder: str, problem: str | None) -> None:
    found = S3BucketSpec(name="any", bucket="any").folder_problem(folder)
    assert (problem is None and found is None) or (problem is not None and found is not None and problem in found)


def test_key_is_the_plain_path() -> None:
    assert [object_key(path) for path in (".", "./a.csv", "x//y/../a.csv", " a ")] == ["", "a.csv", "x/a.csv", " a "]


def test_content_type_goes_by_the_last_extension() -> None:
    names = ["a.csv", "A.CSV", "a.csv.gz", "a.json", "a.manifest.json", "a.ndjson", "a.xml", "a.parquet", "a.done", "a"]
    assert [content_type(name) for name in names] == [
        "text/csv",
        "text/csv",
        "application/gzip",
        "application/json",
        "application/json",
        "application/x-ndjson",
        "application/xml",
        "application/vnd.apache.parquet",
        "application/octet-stream",
        "application/octet-stream",
    ]
