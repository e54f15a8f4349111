"""SeaweedFS, an S3 server, which checks signatures and rights: users who may do all, only write, only read.

What was asked of it (`weed` 4.48 through boto3), and what it answered, beside what S3 promises:

| asked | answered |
|---|---|
| put with `If-None-Match: *`, with `If-Match`; 16 at a time to one key, 60 rounds each | one wins a round, the others get 412 |
| eight clients that read and add one with `If-Match`, ten times each | 80: no addition is lost |
| put with `If-Match` where there is no object | 412; S3 says 404 NoSuchKey |
| completing a multipart upload with either condition | 412 as S3; but 8 at a time, up to 5 win |
| wrong Content-MD5, x-amz-checksum-sha256 or -crc32, of an object or a part | 400 BadDigest, nothing is stored |
| parts: listed, completed with a wrong ETag, too small, after the abort | as S3: 400 InvalidPart, EntityTooSmall; 404 NoSuchUpload |
| parts before they are completed | no object is shown |
| wrong secret, unknown key, a right that the user lacks | 403 SignatureDoesNotMatch, InvalidAccessKeyId, AccessDenied |
| a bucket or a key that is not there | 404 NoSuchBucket, NoSuchKey |
| metadata and content type, also of parts and of copies; ranges | as S3 |
| a list of 2,300 keys, in pages of 1,000 and of 100; spaces, `ü`, emoji, `%`, `+`, `?` in keys | as S3 |
| a key of 1,024 bytes | taken; but no name between two slashes above 255 bytes (400 KeyTooLongError) |
| a key with a backslash, `//`, a slash at its start | `/`, `/`, without it; a name `.` between two slashes: 400 InvalidRequest |

Two things it cannot be asked for, and no test asks a server for them: an upload in parts that is completed on a condition, in a
race (no code here makes one), and the answers of a service in trouble (503 SlowDown, ExpiredToken, RequestTimeTooSkewed and so
on), which the tests give themselves, from a `Front` before the server.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from dinmo_pipeline_tests.servers.running import HOST, Program, free_port, missing, server_folder

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "deliveries"
REGION = "us-east-1"
_OBJECTS, _ALL = f"arn:aws:s3:::{BUCKET}/*", "arn:aws:s3:::*"
_RIGHTS = {
    "owner": {"Action": ["s3:*"], "Resource": [_ALL]},
    "writer": {"Action": ["s3:PutObject"], "Resource": [_OBJECTS]},
    "reader": {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [_OBJECTS, f"arn:aws:s3:::{BUCKET}"]},
}
_PARTS_OF_IT = ("master", "volume", "filer", "s3")
_READY_SECONDS = 120
# Little on the disk and in memory: it would make seven volumes at once, and keep what it has read.
_SMALL = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "GOMEMLIMIT": "400MiB"}


@dataclass(frozen=True)
class AccessKey:
    """What a user signs with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class S3Server:
    """The running server with its bucket; `keys` by the user's name."""

    port: int
    keys: dict[str, AccessKey]
    program: Program
    log: Path

    def url(self, host: str = HOST) -> str:
        """The server's address, there or at something in front of it."""
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Start it, for the first time or after it was killed, and wait until it takes objects."""
        self.program.start()
        _make_bucket(self.client(), self.log)

    def client(self) -> S3Client:
        """The owner's own client."""
        owner = self.keys["owner"]
        return boto3.client(
            "s3",
            endpoint_url=self.url(),
            region_name=REGION,
            aws_access_key_id=owner.access_key_id,
            aws_secret_access_key=owner.secret_access_key,
        )


@contextmanager
def s3() -> Iterator[S3Server]:
    """The server, with an empty bucket; all is gone afterwards."""
    program = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if program is None:
        missing("there is no S3 server for this kind of machine (Linux, or a Mac with Apple's processor)")
    keys = {name: AccessKey(f"{name}-{secrets.token_hex(8)}", secrets.token_urlsafe(24)) for name in _RIGHTS}
    ports = {name: (free_port(), free_port()) for name in _PARTS_OF_IT}
    with server_folder() as folder:
        (folder / "users.json").write_text(json.dumps(_users(keys)))
        log = folder / "s3.log"
        weed = Program(_command(program, folder, ports), port=ports["s3"][0], log=log)
        server = S3Server(ports["s3"][0], keys, weed, log)
        try:
            server.start()
            yield server
        finally:
            # It would wait for its clients; nothing of it is kept.
            weed.kill()
            for name, (_, grpc) in ports.items():
                Path(f"/tmp/seaweedfs-{name}-grpc-{grpc}.sock").unlink(missing_ok=True)


def _command(program: str, folder: Path, ports: dict[str, tuple[int, int]]) -> list[str]:
    options: dict[str, object] = {
        "dir": folder,
        "ip": HOST,
        "ip.bind": HOST,
        "filer": True,
        "filer.localSocket": folder / "filer.sock",
        "master.peers": "none",
        "master.telemetry": False,
        "master.volumeSizeLimitMB": 64,
        "s3": True,
        "s3.autoCreateBucket": False,
        "s3.config": folder / "users.json",
        "s3.localSocket": folder / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # As many as the disk has room for.
        "volume.max": 0,
    }
    for name, (http, grpc) in ports.items():
        options |= {f"{name}.port": http, f"{name}.port.grpc": grpc}
    written = [f"-{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    return ["env", *(f"{name}={value}" for name, value in _SMALL.items()), program, "-logtostderr=true", "server", *written]


def _users(keys: dict[str, AccessKey]) -> dict[str, Any]:
    """The server's users, and a policy for each, which has its name."""
    return {
        "identities": [
            {
                "name": name,
                "credentials": [{"accessKey": key.access_key_id, "secretKey": key.secret_access_key}],
                "policyNames": [name],
            }
            for name, key in keys.items()
        ],
        "policies": [
            {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **rights}]})}
            for name, rights in _RIGHTS.items()
        ],
    }


def _make_bucket(client: S3Client, log: Path) -> None:
    """Make the bucket, and wait until it takes objects: the parts of the server find each other after it listens."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="first", Body=b"1")
            client.delete_object(Bucket=BUCKET, Key="first")
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                pytest.fail(f"the S3 server takes no object: {error}; its output:\n{log.read_text(errors='replace')}", pytrace=False)
            time.sleep(0.1)
        else:
            return
