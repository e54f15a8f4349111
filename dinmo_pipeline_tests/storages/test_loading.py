"""Loading definitions does not wait for the libraries of stores that it may not need."""

from __future__ import annotations

import subprocess
import sys


def test_definitions_load_without_the_clients_of_storages() -> None:
    heavy = (
        "azure.storage.blob",
        "azure.identity",
        "google.cloud.storage",
        "google.auth",
        "boto3",
        "botocore",
        "requests",
        "adlfs",
        "aiohttp",
        "asyncssh",
        "fsspec",
        "sshfs",
        "gcsfs",
        "aiohttp",
    )
    code = f"import sys, dinmo_pipeline.storages; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
