"""The contract of storages, on every place."""

from __future__ import annotations

from dinmo_pipeline_tests.storages.contract import StorageContract


class TestStorages(StorageContract):
    pass
