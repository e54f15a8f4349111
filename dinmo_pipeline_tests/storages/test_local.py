"""A folder of this machine, in what only it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.local import LocalFolderSpec
from dinmo_pipeline_tests.servers.disks import small_quota


def test_quota_that_is_used_up_is_told(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(5 * 1024 * 1024))
    with (
        small_quota(tmp_path / "limited", megabytes=2) as folder,
        LocalFolderSpec(name="out", path=str(folder)).connect(tmp_path) as storage,
    ):
        with pytest.raises(PermanentStorageError, match=r"the quota of the user .* is used up: free some room or raise it"):
            storage.put(big, "a.csv")
        storage.delete("a.csv")
        assert list(folder.iterdir()) == []
