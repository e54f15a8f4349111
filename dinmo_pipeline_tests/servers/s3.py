"""moto's server, which speaks S3 and checks signatures and rights: users who may do all, only write, only read, or nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3

from dinmo_pipeline_tests.servers.running import HOST, free_port, running, server_folder

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "deliveries"
REGION = "us-east-1"
_RIGHTS = {"owner": ["*"], "writer": ["s3:PutObject"], "reader": ["s3:GetObject", "s3:ListBucket"]}
# moto checks nobody for so many requests: what makes the first user.
_UNCHECKED = 3
# moto looks at the condition of a write and then writes, in as many threads as there are requests; S3 does both in one step.
_PROGRAM = """\
import threading
from moto import server
lock, whole = threading.Lock(), server.DomainDispatcherApplication.__call__
def one_at_a_time(self, environ, start_response):
    if "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ:
        with lock:
            return whole(self, environ, start_response)
    return whole(self, environ, start_response)
server.DomainDispatcherApplication.__call__ = one_at_a_time
server.main()
"""


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

    def url(self, host: str = HOST) -> str:
        """The server's address, there or at something in front of it."""
        return f"http://{host}:{self.port}"

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
    server = S3Server(port=free_port(), keys={})
    with server_folder() as folder:
        command = ["env", f"INITIAL_NO_AUTH_ACTION_COUNT={_UNCHECKED}", sys.executable, "-c", _PROGRAM, "-H", HOST, "-p", str(server.port)]
        with running(command, port=server.port, log=folder / "s3.log"):
            _make_users(server)
            server.client().create_bucket(Bucket=BUCKET)
            yield server


def _make_users(server: S3Server) -> None:
    signing = AccessKey("nobody", "nobody")
    for name, actions in _RIGHTS.items():
        iam = boto3.client(
            "iam",
            endpoint_url=server.url(),
            region_name=REGION,
            aws_access_key_id=signing.access_key_id,
            aws_secret_access_key=signing.secret_access_key,
        )
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        server.keys[name] = AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
        signing = server.keys["owner"]
