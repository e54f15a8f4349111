"""Addresses for state on the real servers of the object stores, and processes that work there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.sync.backends import object_store as object_state
from dinmo_pipeline.sync.backends.object_store import ObjectStoreBackend
from dinmo_pipeline.sync.backends.url import StateStoreSpec, parse_state_url
from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.sync.disk import forking

# Long enough for a living holder to renew it a few times on a machine that is busy.
LEASE_S = 6.0


@dataclass(frozen=True)
class RemoteState:
    """A folder of this test's own in an object store: what a user sets to keep the state there."""

    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.variables["DINMO_STATE_URL"]

    def at_port(self, port: int) -> RemoteState:
        """The same one through what listens on another port."""
        old = next(value.rpartition(":")[2].partition("/")[0] for value in self.variables.values() if "http://127.0.0.1:" in value)
        return replace(self, variables={name: value.replace(f":{old}", f":{port}") for name, value in self.variables.items()})

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Its variables are set meanwhile, and a lease is short."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            patch.setattr(object_state, "LEASE_S", LEASE_S)
            yield

    def _address(self) -> tuple[StateStoreSpec, str]:
        address = parse_state_url(self.url)
        assert isinstance(address, tuple)
        return address

    @contextmanager
    def storage(self) -> Iterator[tuple[Storage, str]]:
        """Look behind the backend's back: the store, and the folder in it."""
        spec, folder = self._address()
        with spec.connect(Path()) as storage:
            yield storage, folder

    def backend(self) -> ObjectStoreBackend:
        """The logs there, through connections of their own."""
        spec, folder = self._address()

        def connect() -> Connection[Any]:
            return Connection(lambda: spec.connect(Path()), retry_for_s=spec.retry_for_s, retries=spec.retries)

        return ObjectStoreBackend(connect(), connect, folder)


def s3_state(request: pytest.FixtureRequest, folder: str) -> RemoteState:
    return state_on_s3(request.getfixturevalue("s3_server"), folder)


def state_on_s3(server: s3.S3Server, folder: str) -> RemoteState:
    """What keeps the state in this folder of the server's bucket."""
    owner = server.keys["owner"]
    return RemoteState(
        {
            "DINMO_STATE_URL": f"s3://{s3.BUCKET}/{folder}",
            "AWS_ENDPOINT_URL": server.url(),
            "AWS_DEFAULT_REGION": s3.REGION,
            "AWS_ACCESS_KEY_ID": owner.access_key_id,
            "AWS_SECRET_ACCESS_KEY": owner.secret_access_key,
        }
    )


def gcs_state(request: pytest.FixtureRequest, folder: str) -> RemoteState:
    server: gcs.GcsServer = request.getfixturevalue("gcs_server")
    return RemoteState({"DINMO_STATE_URL": f"gs://{gcs.BUCKET}/{folder}", "STORAGE_EMULATOR_HOST": server.url()})


def azure_state(request: pytest.FixtureRequest, folder: str) -> RemoteState:
    server: azurite.Azurite = request.getfixturevalue("azurite_server")
    return RemoteState({"DINMO_STATE_URL": f"{server.url()}/{azurite.CONTAINER}/{folder}", "AZURE_STORAGE_KEY": server.key})


STATES = {"azure": azure_state, "gcs": gcs_state, "s3": s3_state}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in STATES])
def state(request: pytest.FixtureRequest) -> Iterator[RemoteState]:
    """Each of STATES in turn; its variables are set."""
    made = STATES[request.param](request, f"state/{uuid.uuid4().hex[:12]}")
    with made.in_use():
        yield made


def begin_apart(target: Callable[..., None], variables: Mapping[str, str], *arguments: Any) -> BaseProcess:
    """A process that works with these variables and short leases; it runs already."""
    process = forking().Process(target=_with, args=(dict(variables), target, arguments))
    process.start()
    return process


def _with(variables: dict[str, str], target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(variables)
    setattr(object_state, "LEASE_S", LEASE_S)  # noqa: B010 (a name of another module's)
    target(*arguments)
