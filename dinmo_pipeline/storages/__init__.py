"""Places that files are delivered to, by the name of the component that defines one."""

from __future__ import annotations

from dinmo_pipeline.storages.contract import StorageSpec
from dinmo_pipeline.storages.ftp import FtpServerSpec
from dinmo_pipeline.storages.local import LocalFolderSpec
from dinmo_pipeline.storages.sftp import SftpServerSpec

STORAGES: dict[str, type[StorageSpec]] = {
    "LocalFolder": LocalFolderSpec,
    "SftpServer": SftpServerSpec,
    "FtpServer": FtpServerSpec,
}
