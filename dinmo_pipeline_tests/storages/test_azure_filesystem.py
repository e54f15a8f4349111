"""Azure's filesystem by fsspec's own words: each fault of adlfs that it mends is shown on adlfs's own class first."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import gzip
import multiprocessing
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import adlfs
import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContentSettings
from fsspec import AbstractFileSystem

from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.errors import code_of
from dinmo_pipeline.storages.azure.filesystem import AzureFileSystem, Staged
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline_tests.servers.azurite import CONTAINER, Azurite
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.lying_http import Answer, lying_http
from dinmo_pipeline_tests.storages.contract import MIB, local
from dinmo_pipeline_tests.waiting import PATIENCE_S

pytestmark = pytest.mark.xdist_group("azure")

FOLDER = f"{CONTAINER}/fsspec"


@pytest.fixture
def front(azurite_server: Azurite) -> Iterator[Front]:
    with Front.listening(azurite_server.port) as made:
        yield made


@pytest.fixture
def ours(azurite_server: Azurite, front: Front) -> Iterator[AzureFileSystem]:
    """Ours, as the owner of the account, through the front."""
    made = AzureFileSystem(
        azurite_server.url().replace(str(azurite_server.port), str(front.own_port)), owner(azurite_server), answers=limits()
    )
    yield made
    made.close()


@pytest.fixture
def plain(azurite_server: Azurite, front: Front) -> adlfs.AzureBlobFileSystem:
    """adlfs's own, likewise."""
    return adlfs_at(azurite_server.connection_string.replace(str(azurite_server.port), str(front.own_port)))


def adlfs_at(connection_string: str) -> adlfs.AzureBlobFileSystem:
    return adlfs.AzureBlobFileSystem(connection_string=connection_string, use_listings_cache=False, skip_instance_cache=True)


def owner(server: Azurite) -> AzureNamedKeyCredential:
    return AzureNamedKeyCredential(server.account, server.key)


def limits() -> Answers:
    return Answers(IntakeLimits())


def test_file_is_unseen_until_it_is_committed(ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, tmp_path: Path) -> None:
    name = f"{FOLDER}/unseen.csv"
    with plain.open(name, "wb", autocommit=False) as stream:
        stream.write(b"x")
    assert plain.exists(name)  # adlfs shows it before anybody has committed it.
    ours.rm_file(name)

    staged = ours.stage(local(tmp_path, b"x" * 9 * MIB), name)
    assert not ours.exists(name)
    ours.discard(staged)
    ours.commit(staged)
    assert ours.info(name)["size"] == 9 * MIB


def test_checksum_stands_beside_the_file(ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, tmp_path: Path) -> None:
    source = local(tmp_path, b"x")
    with pytest.raises(TypeError):
        plain.put_file(str(source), f"{FOLDER}/sum.csv", metadata={"sha256": "1"})

    ours.commit(ours.stage(source, f"{FOLDER}/sum.csv"))
    assert set(ours.info(f"{FOLDER}/sum.csv")["metadata"]) == {"sha256"}


@pytest.mark.parametrize("put", ["pipe_file", "put_file"])
def test_bytes_that_change_on_the_way_are_refused(
    put: str, ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, front: Front, tmp_path: Path
) -> None:
    content = b"x" * 200_000
    source = str(local(tmp_path, content)) if put == "put_file" else content
    write: dict[str, Any] = {
        "pipe_file": lambda filesystem: filesystem.pipe_file(f"{FOLDER}/changed.csv", content),
        "put_file": lambda filesystem: filesystem.put_file(source, f"{FOLDER}/changed.csv"),
    }
    front.corrupt_writes(1)
    write[put](plain)
    assert plain.cat_file(f"{FOLDER}/changed.csv") != content  # adlfs took what came.

    front.corrupt_writes(9)
    with pytest.raises(Exception, match=r"(?i)md5"):
        write[put](ours)


@pytest.mark.parametrize("name", ["a?versionid=5.csv", "a#b.csv", "a:b.csv", "a b .csv ", "ü%41.csv", "a\nb.csv"])
def test_name_is_taken_as_it_is(name: str, ours: AzureFileSystem, azurite_server: Azurite, tmp_path: Path) -> None:
    ours.commit(ours.stage(local(tmp_path, b"x"), f"{FOLDER}/names/{name}"))
    with azurite_server.client() as client:
        found = list(client.get_container_client(CONTAINER).list_blob_names(name_starts_with="fsspec/names/"))
    try:
        assert found == [f"fsspec/names/{name}"]
        assert [info["name"] for info in ours.iter_ls(f"{FOLDER}/names")] == [f"{FOLDER}/names/{name}"]
        assert ours.cat_file(f"{FOLDER}/names/{name}") == b"x"
    finally:
        ours.rm_file(f"{FOLDER}/names/{name}")


def test_adlfs_takes_names_for_addresses(plain: adlfs.AzureBlobFileSystem) -> None:
    assert plain.split_path(f"{CONTAINER}/a?versionid=5.csv")[1] == "a"
    assert plain.split_path(f"{CONTAINER}/a\nb.csv")[1] == "ab.csv"


def test_packed_file_comes_as_it_is_stored(
    ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, azurite_server: Azurite, tmp_path: Path
) -> None:
    stored = gzip.compress(b"id\n" * 1000)
    with azurite_server.client() as client:
        client.get_blob_client(CONTAINER, "fsspec/packed.gz").upload_blob(
            stored, overwrite=True, content_settings=ContentSettings(content_encoding="gzip")
        )
    assert plain.cat_file(f"{FOLDER}/packed.gz") != stored  # adlfs unpacks it, and tells the size that it is stored with.

    assert ours.cat_file(f"{FOLDER}/packed.gz") == stored
    ours.get_file(f"{FOLDER}/packed.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == stored


def test_file_that_is_replaced_while_it_comes_is_not_put_together_of_both(
    ours: AzureFileSystem, azurite_server: Azurite, tmp_path: Path
) -> None:
    ours.commit(ours.stage(local(tmp_path, b"1" * 9 * MIB), f"{FOLDER}/replaced.csv"))

    def begin(_size: int) -> BinaryIO:
        with azurite_server.client() as client:
            client.get_blob_client(CONTAINER, "fsspec/replaced.csv").upload_blob(b"2" * 9 * MIB, overwrite=True)
        return (tmp_path / "back").open("wb")

    with pytest.raises(HttpResponseError) as caught:
        ours.fetch(f"{FOLDER}/replaced.csv", begin)
    assert code_of(caught.value) == "ConditionNotMet"
    assert b"2" not in (tmp_path / "back").read_bytes()


def test_move_takes_one_file_whatever_its_name(ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem) -> None:
    names = [f"{FOLDER}/star*.csv", f"{FOLDER}/starfish.csv"]
    for filesystem, left in ((plain, []), (ours, names[1:])):
        for name in names:
            ours.write_file(name, b"x")
        filesystem.rm(names[0]) if filesystem is plain else filesystem.mv(names[0], f"{FOLDER}/moved.csv")
        assert [name for name in names if ours.exists(name)] == left


def test_move_waits_for_the_copy(front: Front) -> None:
    asked: list[str] = []

    def answer(method: str, _path: str) -> Answer:
        asked.append(method)
        facts = {"ETag": '"x"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "x-ms-copy-id": "1"}
        status = "success" if asked.count("HEAD") == 2 else "pending"
        return {"PUT": 202, "DELETE": 202}.get(method, 200), {**facts, "x-ms-copy-status": status}, b""

    with lying_http(answer) as liar:
        plain = adlfs_at(f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint={liar.url}/a;")
        plain.cp_file("c/a.csv", "c/b.csv")
        assert asked == ["PUT"]  # Whoever deletes the source now may lose the file.

        asked.clear()
        ours = AzureFileSystem(f"{liar.url}/a", AzureSasCredential("sig=abcd"), answers=limits())
        ours.mv("c/a.csv", "c/b.csv")
        ours.close()
    assert asked == ["PUT", "HEAD", "HEAD", "DELETE"]


def test_folder_is_listed_by_one_request(ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, front: Front) -> None:
    for name in ("list/a.csv", "list/deep/b.csv", "list-other/c.csv"):
        ours.write_file(f"{FOLDER}/{name}", b"x")
    counts = {}
    for filesystem in (plain, ours):
        front.requests.clear()
        assert sorted(filesystem.ls(f"{FOLDER}/list", detail=False)) == [f"{FOLDER}/list/a.csv", f"{FOLDER}/list/deep"]
        counts[filesystem] = len(front.requests)
    assert counts[ours] == 1
    assert counts[plain] > 1


def test_fsspec_tells_files_folders_and_what_is_missing(ours: AzureFileSystem) -> None:
    ours.write_file(f"{FOLDER}/tell/a.csv", b"x")
    assert ours.info(f"{FOLDER}/tell/a.csv")["type"] == "file"
    assert ours.ls(f"{FOLDER}/tell/a.csv", detail=False) == [f"{FOLDER}/tell/a.csv"]
    assert ours.info(f"{FOLDER}/tell")["type"] == ours.info(CONTAINER)["type"] == "directory"
    assert CONTAINER in [name.rstrip("/") for name in ours.ls("", detail=False)]
    for path in (f"{FOLDER}/missing.csv", "no-such/missing.csv"):
        for act in (ours.info, ours.ls, ours.cat_file, ours.rm_file, lambda path: ours.get_file(path, os.devnull)):
            with pytest.raises(FileNotFoundError):
                act(path)


def test_no_secret_is_among_what_a_filesystem_tells_of_itself(
    ours: AzureFileSystem, plain: adlfs.AzureBlobFileSystem, azurite_server: Azurite
) -> None:
    assert azurite_server.key in plain.to_json()
    assert azurite_server.key in str(plain.storage_options)

    told = f"{ours!r} {ours.storage_options} {ours.storage_args} {ours.__dict__}"
    assert azurite_server.key not in told
    with pytest.raises(TypeError, match="not JSON serializable"):
        ours.to_json()
    assert not AzureFileSystem._cache


def test_secrets_of_the_environment_are_not_its_own(azurite_server: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT_KEY", "CONNECTION_STRING", "SAS_TOKEN", "CLIENT_ID", "CLIENT_SECRET", "TENANT_ID"):
        monkeypatch.setenv(
            f"AZURE_STORAGE_{name}", "of-another-account" if name != "CONNECTION_STRING" else azurite_server.connection_string
        )
    plain = adlfs.AzureBlobFileSystem(account_name="a", anon=True, skip_instance_cache=True)
    assert plain.account_key == "of-another-account"
    assert plain.exists(CONTAINER)  # adlfs goes to the environment's account and not to the one that it was given.

    made = AzureFileSystem("http://127.0.0.1:1/a", owner(azurite_server), answers=limits())
    assert azurite_server.key not in str(made.__dict__)
    assert "of-another-account" not in f"{made.account_key} {made.sas_token} {made.client_secret} {made.sync_credential}"
    made.close()


def test_filesystem_that_is_closed_is_forgotten(azurite_server: Azurite, plain: adlfs.AzureBlobFileSystem) -> None:
    made = AzureFileSystem(azurite_server.url(), owner(azurite_server), answers=limits())
    made.exists(f"{FOLDER}/a.csv")
    made.close()
    ours, theirs = weakref.ref(made), weakref.ref(plain)
    finalizers = [known.peek() for known in weakref.finalize._registry]  # type: ignore[attr-defined]
    assert any(known[0] is plain for known in finalizers)  # adlfs keeps each one until the process ends.
    assert not any(known[0] is made for known in finalizers)
    del made, finalizers
    gc.collect()
    assert ours() is None
    assert theirs() is not None


def test_child_that_was_forked_makes_a_filesystem_of_its_own(ours: AzureFileSystem, azurite_server: Azurite) -> None:
    ours.write_file(f"{FOLDER}/fork.csv", b"x")

    def read(answer: Any) -> None:
        try:
            ours.cat_file(f"{FOLDER}/fork.csv")
        except RuntimeError as error:
            own = AzureFileSystem(azurite_server.url(), owner(azurite_server), answers=limits())
            answer.send((str(error), own.cat_file(f"{FOLDER}/fork.csv")))

    receiver, sender = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=read, args=(sender,))
    child.start()
    assert receiver.poll(30)
    told, content = receiver.recv()
    child.join(30)
    assert child.exitcode == 0
    assert "not fork-safe" in told
    assert content == b"x"
    assert ours.cat_file(f"{FOLDER}/fork.csv") == b"x"


def test_interrupt_ends_the_work(ours: AzureFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def write(*_: object) -> None:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            ended.set()

    def interrupted(*_: object) -> None:
        assert begun.wait(PATIENCE_S)
        raise KeyboardInterrupt

    monkeypatch.setattr(ours, "_write_file", write)
    monkeypatch.setattr(ours, "_in_thread", lambda *_: asyncio.sleep(0))
    with monkeypatch.context() as patched:
        patched.setattr(concurrent.futures.Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ours.commit(Staged(f"{FOLDER}/interrupted.csv", Path(os.devnull)))
    # fsspec's own waiting lets it go on, and a file that nobody waits for any more appears.
    assert ended.wait(PATIENCE_S / 2)


def test_storage_is_a_filesystem_that_begins_at_its_container(azurite_server: Azurite, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(azurite_server.key)
    fields = {"name": "p", "container": CONTAINER, "account_url": azurite_server.url(), "account_key": {"file": "key"}}
    filesystem: AbstractFileSystem = AzureContainerSpec.model_validate(fields).filesystem(tmp_path)
    # More than one answer may hold.
    content = os.urandom(MIB) * 20
    local(tmp_path, content)
    filesystem.put_file(str(tmp_path / "staged"), "fsspec/whole.bin")
    assert filesystem.cat_file("fsspec/whole.bin") == content
    with filesystem.open("fsspec/whole.bin") as stream:
        stream.seek(19 * MIB)
        assert stream.read() == content[19 * MIB :]
    filesystem.get_file("fsspec/whole.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    assert filesystem.ls("fsspec/whole.bin", detail=False) == ["fsspec/whole.bin"]
    assert azurite_server.key not in f"{filesystem!r} {filesystem.storage_options}"
    filesystem.rm_file("fsspec/whole.bin")
    assert not filesystem.exists("fsspec/whole.bin")
    filesystem.fs.close()
