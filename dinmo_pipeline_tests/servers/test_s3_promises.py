"""What the tests of state and deliveries count on at the S3 server: one of several conditional puts wins, damaged bytes are refused."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dinmo_pipeline_tests.servers.cloud_fixtures import s3_server
from dinmo_pipeline_tests.servers.s3 import BUCKET, S3Server

__all__ = ["s3_server"]

pytestmark = pytest.mark.xdist_group("s3")

_ROUNDS, _AT_ONCE = 4, 6


def answer_of(act: Callable[[], object]) -> str:
    """`done`, or the code of the refusal."""
    try:
        act()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


@pytest.mark.parametrize("condition", ["IfNoneMatch", "IfMatch"])
def test_of_conditional_puts_at_once_one_wins(condition: str, s3_server: S3Server) -> None:
    client: Any = s3_server.client()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number in range(_ROUNDS):
            key = f"races/{condition}/{number}"
            wanted = "*" if condition == "IfNoneMatch" else client.put_object(Bucket=BUCKET, Key=key, Body=b"first")["ETag"]

            def put(body: bytes, key: str = key, wanted: str = wanted) -> str:
                return answer_of(lambda: client.put_object(Bucket=BUCKET, Key=key, Body=body, **{condition: wanted}))

            bodies = [bytes([65 + each]) for each in range(_AT_ONCE)]
            answers = list(pool.map(put, bodies))

            assert Counter(answers) == {"done": 1, "PreconditionFailed": _AT_ONCE - 1}
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == bodies[answers.index("done")]


@pytest.mark.parametrize(
    ("header", "checksum"),
    [
        ("ContentMD5", hashlib.md5(b"sent").digest()),
        ("ChecksumSHA256", hashlib.sha256(b"sent").digest()),
        ("ChecksumCRC32", zlib.crc32(b"sent").to_bytes(4, "big")),
    ],
)
def test_bytes_with_the_checksum_of_others_are_refused(header: str, checksum: bytes, s3_server: S3Server) -> None:
    client: Any = s3_server.client()
    given, key = {header: base64.b64encode(checksum).decode()}, f"checked/{header}"

    assert answer_of(lambda: client.put_object(Bucket=BUCKET, Key=key, Body=b"came", **given)) == "BadDigest"
    assert answer_of(lambda: client.get_object(Bucket=BUCKET, Key=key)) == "NoSuchKey"
    assert answer_of(lambda: client.put_object(Bucket=BUCKET, Key=key, Body=b"sent", **given)) == "done"


def test_part_with_the_checksum_of_another_is_refused(s3_server: S3Server) -> None:
    client: Any = s3_server.client()
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    checksum = base64.b64encode(hashlib.md5(b"sent").digest()).decode()

    def send() -> object:
        return client.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=b"came", ContentMD5=checksum)

    assert answer_of(send) == "BadDigest"
    client.abort_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload)
    assert answer_of(send) == "NoSuchUpload"
