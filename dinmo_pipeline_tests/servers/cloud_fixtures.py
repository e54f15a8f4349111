"""The object stores' servers as fixtures: one of each for a whole test run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dinmo_pipeline_tests.servers.azurite import Azurite, azurite
from dinmo_pipeline_tests.servers.gcs import GcsServer, TokenServer, gcs, token_server
from dinmo_pipeline_tests.servers.relay import Relay
from dinmo_pipeline_tests.servers.s3 import S3Server, s3


@pytest.fixture(scope="session")
def azurite_server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture(scope="session")
def azurite_relay(azurite_server: Azurite) -> Iterator[Relay]:
    with Relay().listening([azurite_server.port]) as relay:
        yield relay


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    with gcs() as server:
        yield server


@pytest.fixture(scope="session")
def gcs_relay(gcs_server: GcsServer) -> Iterator[Relay]:
    with Relay().listening([gcs_server.port]) as relay:
        yield relay


@pytest.fixture(scope="session")
def gcs_tokens() -> Iterator[TokenServer]:
    with token_server() as tokens:
        yield tokens


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with s3() as server:
        yield server


@pytest.fixture(scope="session")
def s3_relay(s3_server: S3Server) -> Iterator[Relay]:
    with Relay().listening([s3_server.port]) as relay:
        yield relay
