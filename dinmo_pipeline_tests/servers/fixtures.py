"""The servers as fixtures: one of each for a whole test run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh
from dinmo_pipeline_tests.servers.relay import Relay


@pytest.fixture(scope="session")
def openssh_server() -> Iterator[OpenSsh]:
    with openssh() as server:
        yield server


@pytest.fixture(scope="session")
def openssh_relay(openssh_server: OpenSsh) -> Iterator[Relay]:
    with Relay().listening([openssh_server.port]) as relay:
        yield relay
