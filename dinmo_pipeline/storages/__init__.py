"""Places that files are delivered to, by the name of the component that defines one."""

from __future__ import annotations

from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline.storages.sftp.spec import SftpServerSpec

STORAGES: dict[str, type[StorageSpec]] = {
    "AzureContainer": AzureContainerSpec,
    "Filesystem": FilesystemSpec,
    "FtpServer": FtpServerSpec,
    "GcsBucket": GcsBucketSpec,
    "LocalFolder": LocalFolderSpec,
    "S3Bucket": S3BucketSpec,
    "SftpServer": SftpServerSpec,
}
