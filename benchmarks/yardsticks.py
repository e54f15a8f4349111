"""The best that others have for sending one file: command-line clients, and the vendors' own calls at their best settings.

Each function sends `local_path` as `big` and ends when it is there; a program that is not installed is no yardstick.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd

NAME = "big"
_IN_FLIGHT = 8


def sftp_put(server: OpenSsh, local_path: Path, *, flush: bool) -> None:
    """OpenSSH's own client; with `flush` it waits until the file is on the server's disk, as ours does."""
    account = server.login("plain")
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    command = ["sftp", "-q", "-b", "-", "-P", str(server.port), "-i", str(server.private_key)]
    command += [word for option in options for word in ("-o", option)] + [f"{account.username}@{server.host}"]
    _run(command, input_=f"put {'-f ' if flush else ''}{local_path} {NAME}\n")


def rclone_sftp(server: OpenSsh, local_path: Path) -> None:
    """rclone, which keeps 64 requests in flight; it reads the file again for its checksum unless told not to."""
    account = server.login("plain")
    remote = f":sftp,host={server.host},port={server.port},user={account.username},key_file={server.private_key},shell_type=none:{NAME}"
    _run(["rclone", "--config", "/dev/null", "--ignore-times", "copyto", str(local_path), remote])


def curl_ftps(server: Vsftpd, local_path: Path) -> None:
    """curl with explicit TLS."""
    account = server.login
    url = f"ftp://{server.host}:{server.port}/{NAME}"
    _run(
        [
            "curl",
            "-sS",
            "--ssl-reqd",
            "--cacert",
            str(server.authority),
            "-u",
            f"{account.username}:{account.password}",
            "-T",
            str(local_path),
            url,
        ]
    )


def lftp_ftps(server: Vsftpd, local_path: Path) -> None:
    """lftp with explicit TLS."""
    account = server.login
    settings = f"set ftp:ssl-force true; set ftp:ssl-protect-data true; set ssl:ca-file {server.authority}; set xfer:clobber true"
    _run(
        [
            "lftp",
            "-c",
            f"{settings}; open -u {account.username},{account.password} -p {server.port} {server.host}; put {local_path} -o {NAME}",
        ]
    )


def azure_library(server: azurite.Azurite, local_path: Path, *, checked: bool) -> None:
    """Azure's own client with parallel blocks of 16 MiB; `checked` by their MD5 on arrival, as ours are."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(server.url(), credential=server.key, max_block_size=16 * 1024 * 1024) as client, local_path.open("rb") as stream:
        client.get_blob_client(azurite.CONTAINER, NAME).upload_blob(
            stream, overwrite=True, max_concurrency=_IN_FLIGHT, validate_content=checked
        )


def gcs_library(server: gcs.GcsServer, local_path: Path, *, checked: bool) -> None:
    """Google's own client; `checked` by the file's CRC32C, as ours is."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    client = Client(project="shop", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url()})
    client.bucket(gcs.BUCKET).blob(NAME).upload_from_filename(str(local_path), checksum="crc32c" if checked else None)


def s3_library(server: s3.S3Server, local_path: Path) -> None:
    """AWS's own client with its transfer manager."""
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_chunksize=16 * 1024 * 1024, max_concurrency=_IN_FLIGHT)
    server.client().upload_file(str(local_path), s3.BUCKET, NAME, Config=config)


def _run(command: list[str], *, input_: str = "") -> None:
    subprocess.run(command, input=input_, text=True, check=True, capture_output=True)
