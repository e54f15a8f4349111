"""fsspec's own tests for implementers of filesystems, on an SFTP server."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Callable, Iterator

import pytest
from fsspec.tests import abstract

from dinmo_pipeline.storages.sftp.filesystem import SftpFileSystem
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.storages.definitions import sftp_spec

pytestmark = pytest.mark.xdist_group("sftp")


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls, openssh_server: OpenSsh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpFileSystem]:
        filesystem = sftp_spec(openssh_server, openssh_server.login("plain")).filesystem(tmp_path_factory.mktemp("project"))
        yield filesystem
        filesystem.close()

    @pytest.fixture
    def fs_path(self, fs: SftpFileSystem) -> str:
        folder = uuid.uuid4().hex
        # No file that is opened makes its folder unasked; these tests expect that of one.
        fs.makedirs(f"{folder}/source")
        return folder

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join


class TestCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    pass
