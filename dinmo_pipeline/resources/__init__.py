"""For projects that declare their assets in Python: storages as Dagster resources, and the IO manager that writes files to them."""

from __future__ import annotations

from dinmo_pipeline.resources.file_io_manager import FileIOManager
from dinmo_pipeline.resources.files import write_file
from dinmo_pipeline.resources.storages import (
    AzureContainer,
    Filesystem,
    FtpServer,
    GcsBucket,
    LocalFolder,
    S3Bucket,
    SftpServer,
    StorageResource,
)

__all__ = [
    "AzureContainer",
    "FileIOManager",
    "Filesystem",
    "FtpServer",
    "GcsBucket",
    "LocalFolder",
    "S3Bucket",
    "SftpServer",
    "StorageResource",
    "write_file",
]
