"""Definitions of the tests' servers, as a user would write them; an option of None is left out."""

from __future__ import annotations

from pathlib import Path

from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline.storages.sftp.spec import SftpServerSpec
from dinmo_pipeline_tests.servers.gcs import TokenServer
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.pyftpd import PyFtpd
from dinmo_pipeline_tests.servers.running import Login
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd


def sftp_spec(server: OpenSsh, account: Login, **options: object) -> SftpServerSpec:
    """The account on OpenSSH, by key."""
    fields: dict[str, object] = {
        "name": "partner",
        "host": server.host,
        "port": server.port,
        "username": account.username,
        "private_key": {"file": str(server.private_key)},
        "host_key": server.host_key,
        **options,
    }
    return SftpServerSpec.model_validate({key: value for key, value in fields.items() if value is not None})


def ftp_spec(server: Vsftpd | PyFtpd, account: Login, project_root: Path, **options: object) -> FtpServerSpec:
    """The account on an FTP server, by a password that is written to `project_root`."""
    (project_root / "password").write_text(account.password)
    fields: dict[str, object] = {
        "name": "partner",
        "host": server.host,
        "port": server.port,
        "username": account.username,
        "password": {"file": "password"},
        "ca_file": str(server.authority) if server.authority is not None and options.get("tls") != "none" else None,
        **options,
    }
    return FtpServerSpec.model_validate({key: value for key, value in fields.items() if value is not None})


def store_spec(store: str, url: str, tokens: TokenServer, root: Path) -> StorageSpec:
    """An object store at this address, `s3`, `gcs` or `azure`; its secrets lie in `root`, and its tokens come from an honest server."""
    (root / "secret").write_text("c2VjcmV0")
    (root / "sas").write_text("sv=2022-11-02&sp=rcwdl&sig=abcd")
    (root / "key.json").write_text(tokens.key_text)
    if store == "azure":
        fields = {"account_url": f"{url}/acct", "container": "c", "sas_token": {"file": "sas"}}
        return AzureContainerSpec.model_validate({"name": "p", **fields})
    if store == "s3":
        fields = {"bucket": "b", "region": "eu-west-3", "access_key_id": "k", "secret_access_key": {"file": "secret"}}
        return S3BucketSpec.model_validate({"name": "p", **fields, "endpoint_url": url})
    return GcsBucketSpec.model_validate({"name": "p", "bucket": "b", "service_account_key": {"file": "key.json"}, "endpoint_url": url})
