"""fsspec's own tests of what putting and piping mean, on Azure's filesystem.

Of those of copying, getting and opening adlfs fails 55 of 137, and so does this: patterns, folders and `xb` are adlfs's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import fsspec.tests.abstract as fsspec_tests
import pytest
from azure.core.credentials import AzureNamedKeyCredential

from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.filesystem import AzureFileSystem
from dinmo_pipeline_tests.servers.azurite import CONTAINER, Azurite

pytestmark = pytest.mark.xdist_group("azure")


class Fixtures(fsspec_tests.AbstractFixtures):  # type: ignore[misc]
    """A folder in the container, which has no empty folders."""

    @pytest.fixture
    def fs(self, azurite_server: Azurite) -> Iterator[AzureFileSystem]:
        made = AzureFileSystem(
            azurite_server.url(), AzureNamedKeyCredential(azurite_server.account, azurite_server.key), answers=Answers(IntakeLimits())
        )
        yield made
        made.close()

    @pytest.fixture
    def fs_path(self) -> str:
        return f"{CONTAINER}/{uuid.uuid4().hex}"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestPut(fsspec_tests.AbstractPutTests, Fixtures):  # type: ignore[misc]
    pass


class TestPipe(fsspec_tests.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    pass
