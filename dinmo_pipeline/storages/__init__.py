"""Places that files are delivered to, by the name of the component that defines one."""

from __future__ import annotations

from dinmo_pipeline.storages.azure import AzureContainerSpec
from dinmo_pipeline.storages.contract import StorageSpec
from dinmo_pipeline.storages.ftp import FtpServerSpec
from dinmo_pipeline.storages.gcs import GcsBucketSpec
from dinmo_pipeline.storages.local import LocalFolderSpec
from dinmo_pipeline.storages.s3 import S3BucketSpec
from dinmo_pipeline.storages.sftp import SftpServerSpec

STORAGES: dict[str, type[StorageSpec]] = {
    "AzureContainer": AzureContainerSpec,
    "FtpServer": FtpServerSpec,
    "GcsBucket": GcsBucketSpec,
    "LocalFolder": LocalFolderSpec,
    "S3Bucket": S3BucketSpec,
    "SftpServer": SftpServerSpec,
}
