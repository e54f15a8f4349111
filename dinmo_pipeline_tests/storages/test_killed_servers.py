"""An object store's server that is killed in the middle of an upload: nothing half is seen, and what was sent arrives once it is back."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages import retrying as connection_module
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.retrying import connection_to
from dinmo_pipeline.storages.waiting import allow_waiting
from dinmo_pipeline_tests.servers import azurite, gcs
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.running import Program
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.waiting import PATIENCE_S, wait_until

LARGE = random.Random(1).randbytes(24 * MIB)


@dataclass(frozen=True)
class Killable:
    """A server of a test's own, and a relay before it; `spec` goes through that."""

    spec: StorageSpec
    program: Program
    relay: Relay
    kept: Path | None = None

    def wait_until_it_keeps(self, name: str) -> None:
        """Wait until the server knows the object also after it was killed."""
        kept = self.kept
        if kept is not None:
            wait_until(lambda: kept.exists() and name in kept.read_text(encoding="utf-8"), f"{name} in {kept}")


def killable_azure(root: Path, stack: ExitStack) -> Killable:
    server = stack.enter_context(azurite.azurite())
    (root / "key").write_text(server.key)
    fields = {"name": "partner", "container": azurite.CONTAINER, "account_key": {"file": "key"}, "account_url": server.url(RELAY_HOST)}
    relay = stack.enter_context(Relay().listening([server.port]))
    return Killable(AzureContainerSpec.model_validate(fields), server.program, relay, server.kept)


def killable_gcs(root: Path, stack: ExitStack) -> Killable:
    server = stack.enter_context(gcs.gcs(on_disk=True))
    tokens = stack.enter_context(gcs.token_server())
    (root / "key.json").write_text(tokens.key_text)
    fields = {"name": "partner", "bucket": gcs.BUCKET, "service_account_key": {"file": "key.json"}, "endpoint_url": server.url(RELAY_HOST)}
    return Killable(GcsBucketSpec.model_validate(fields), server.program, stack.enter_context(Relay().listening([server.port])))


MAKERS = {"azure": killable_azure, "gcs": killable_gcs}


@pytest.fixture(params=[pytest.param(make, marks=pytest.mark.xdist_group(name)) for name, make in MAKERS.items()], ids=list(MAKERS))
def killable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killable]:
    root = tmp_path / "project"
    root.mkdir()
    with ExitStack() as stack:
        yield request.param(root, stack)


def kill_in_the_middle(killable: Killable) -> threading.Thread:
    """A thread that kills the server once the half of LARGE has come."""
    killable.relay.hold_after(len(LARGE) // 2)

    def kill() -> None:
        killable.relay.wait_until_held()
        killable.program.kill()
        killable.relay.let_pass()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.usefixtures("short_pauses")
def test_upload_whose_server_is_killed_may_be_tried_again_and_leaves_the_old_file(killable: Killable, tmp_path: Path) -> None:
    root = tmp_path / "project"
    with killable.spec.connect(root) as storage:
        storage.put(local(tmp_path, b"old"), "out/a.csv")
        killable.wait_until_it_keeps("out/a.csv")
        killing = kill_in_the_middle(killable)
        with pytest.raises(TransientStorageError, match=r"out/a\.csv"):
            storage.put(local(tmp_path, LARGE), "out/a.csv")
        killing.join(PATIENCE_S)
    killable.program.start()
    with killable.spec.connect(root) as storage:
        assert content(storage, tmp_path, "out/a.csv") == b"old"
        assert [file.name for file in storage.list("out")] == ["a.csv"]


@pytest.mark.usefixtures("short_pauses")
def test_upload_goes_on_when_the_killed_server_is_back(killable: Killable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_TOLD_PAUSE_S", 0.0)
    root = tmp_path / "project"
    told: list[str] = []

    def start_once_that_is_told(line: str) -> None:
        if not told:
            killable.program.start()
        told.append(line)

    with allow_waiting(start_once_that_is_told), connection_to(killable.spec, root) as connection:
        connection.do(lambda storage: storage.put(local(tmp_path, b"old"), "out/a.csv"))
        killable.wait_until_it_keeps("out/a.csv")
        killing = kill_in_the_middle(killable)
        connection.do(lambda storage: storage.put(local(tmp_path, LARGE), "out/a.csv"))
        killing.join(PATIENCE_S)
        assert told, "nobody waited"
        assert connection.do(lambda storage: content(storage, tmp_path, "out/a.csv")) == LARGE
        assert [file.name for file in connection.do(lambda storage: storage.list("out"))] == ["a.csv"]
