"""An open S3 bucket: every request that is made of it. A delivery needs the right s3:PutObject alone."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.base import Listing, RemoteFile, Upload
from dinmo_pipeline.storages.intake import ListingCount, counted_listing
from dinmo_pipeline.storages.object_store.contract import (
    DELETE,
    LIST,
    LOOK,
    MOVE,
    READ,
    SHA256,
    WRITE,
    WRITER,
    ObjectStorage,
    Stored,
    content_type,
    folder_prefix,
    object_key,
)
from dinmo_pipeline.storages.object_store.errors import Cause
from dinmo_pipeline.storages.object_store.multipart import BLOCK_SIZE, IN_FLIGHT, block_size, send_blocks
from dinmo_pipeline.storages.s3.errors import cause_of, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectsV2OutputTypeDef,
        PutObjectOutputTypeDef,
        UploadPartOutputTypeDef,
    )

_MD5 = re.compile(r"[0-9a-f]{32}")
_MOST_PARTS = 10_000
# The version that was expected has changed, or has gone.
_OTHER_VERSION = {"PreconditionFailed", "NoSuchKey"}
# One request copies so much at most; boto3 would begin to copy in parts, and lose the metadata, at 8 MiB.
_COPY_AT_ONCE = 5 * 1024**3


@dataclass(frozen=True)
class _Parts:
    """The parts that an object is to be made of, and the upload that they belong to."""

    upload: str
    parts: Sequence[CompletedPartTypeDef]


class S3Bucket(ObjectStorage):
    """The open bucket. An object of several parts appears when they are completed, so a reader never sees one of them."""

    def __init__(self, *, name: str, bucket: str, place: str, client: S3Client, credentials: str, answers: Answers) -> None:
        super().__init__(name=name, place=place, answers=answers)
        self._bucket = bucket
        self._client = client
        self._credentials = credentials

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def abort(self, upload: Upload) -> None:
        # Parts that stay are invisible and cost money.
        if upload.sent is not None:
            self._abort(upload.remote_path, upload.sent.upload)

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        from boto3.s3.transfer import TransferConfig

        found = self._head(remote_path, READ)
        if found is None:
            raise self._error(READ, remote_path, Cause("there is no such file", "see what else deletes there"))
        with self._receiving(remote_path, local_path, listed_size) as stream:
            stream.expect(found["ContentLength"])
            config = TransferConfig(max_concurrency=IN_FLIGHT, multipart_chunksize=BLOCK_SIZE)
            self._client.download_fileobj(self._bucket, object_key(remote_path), stream, Config=config)

    def stat(self, remote_path: str) -> RemoteFile | None:
        found = self._head(remote_path, LOOK)
        if found is None:
            return None
        with self._translating(LOOK, remote_path):
            return RemoteFile(name=object_key(remote_path).rpartition("/")[2], size=found["ContentLength"], modified=found["LastModified"])

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        found = self._head(remote_path, LOOK)
        if found is None or found["ContentLength"] != size:
            return False
        known = found["Metadata"].get(SHA256)
        # What others have put has no checksum of ours.
        return super().matches(remote_path, size, sha256) if known is None else bool(known == sha256)

    def move(self, remote_path: str, target_path: str) -> None:
        from boto3.s3.transfer import TransferConfig

        source = object_key(remote_path)
        with self._translating(MOVE, remote_path):
            self._client.copy(
                {"Bucket": self._bucket, "Key": source},
                self._bucket,
                object_key(target_path),
                Config=TransferConfig(multipart_threshold=_COPY_AT_ONCE),
            )
            self._client.delete_object(Bucket=self._bucket, Key=source)

    def delete(self, remote_path: str) -> None:
        with self._translating(DELETE, remote_path):
            self._client.delete_object(Bucket=self._bucket, Key=object_key(remote_path))

    def list(self, remote_folder: str) -> Listing:
        prefix, count = folder_prefix(remote_folder), ListingCount(self._answers.limits)
        with self._translating(LIST, remote_folder, count):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
            return counted_listing(_listed(pages, prefix), count)

    def load(self, remote_path: str) -> Stored | None:
        from botocore.exceptions import ClientError

        with self._translating(READ, remote_path):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=object_key(remote_path))
            except ClientError as error:
                if code_of(error.response)[0] != "NoSuchKey":
                    raise
                return None
            return Stored(found["Body"].read(), found["ETag"], found["Metadata"].get(WRITER))

    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        from botocore.exceptions import ClientError

        key = object_key(remote_path)
        try:
            if version is None:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=content, Metadata=metadata, IfNoneMatch="*")
            else:
                answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=content, Metadata=metadata, IfMatch=version)
        except ClientError as error:
            if code_of(error.response)[0] not in _OTHER_VERSION:
                raise
            return None
        return answer["ETag"]

    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        md5 = hashlib.md5(content, usedforsecurity=False)
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=object_key(remote_path),
            Body=content,
            ContentMD5=_base64(md5.digest()),
            ContentType=content_type(remote_path),
            Metadata={SHA256: hashlib.sha256(content).hexdigest()},
        )
        self._check_answer(answer, md5.hexdigest(), remote_path)

    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> _Parts:
        key = object_key(remote_path)
        # The checksum goes with the first request, in the metadata.
        upload = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ContentType=content_type(remote_path), Metadata={SHA256: sha256}
        )["UploadId"]

        def send(index: int, piece: bytes) -> CompletedPartTypeDef:
            # With its MD5 sent along, S3 takes a part only if it got these very bytes: of all checksums the one that every S3 knows.
            md5 = hashlib.md5(piece, usedforsecurity=False)
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=index + 1, Body=piece, ContentMD5=_base64(md5.digest())
            )
            self._check_answer(answer, md5.hexdigest(), remote_path)
            return {"PartNumber": index + 1, "ETag": answer["ETag"]}

        try:
            return _Parts(upload, send_blocks(local_path, size, block_size(size, most_blocks=_MOST_PARTS), send))
        except BaseException:  # an interrupt, too, must leave no parts behind
            # Why they were not completed matters more than that they stayed.
            with suppress(StorageError):
                self._abort(remote_path, upload)
            raise

    def _show(self, upload: Upload) -> None:
        sent: _Parts = upload.sent
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=object_key(upload.remote_path), UploadId=sent.upload, MultipartUpload={"Parts": sent.parts}
        )

    def _abort(self, remote_path: str, upload: str) -> None:
        with self._translating(WRITE, remote_path):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=object_key(remote_path), UploadId=upload)

    def _check_answer(self, answer: PutObjectOutputTypeDef | UploadPartOutputTypeDef, md5: str, remote_path: str) -> None:
        # The ETag is the content's MD5 unless a key of the owner's encrypts it; some servers make up ETags of another form.
        etag = answer["ETag"].strip('"').lower()
        plain = answer.get("ServerSideEncryption") in (None, "AES256") and "SSECustomerAlgorithm" not in answer
        if plain and _MD5.fullmatch(etag) and etag != md5:
            raise self._error(WRITE, remote_path, Cause("S3 has other bytes than were sent", "they changed on the way", transient=True))

    def _head(self, remote_path: str, action: str) -> HeadObjectOutputTypeDef | None:
        from botocore.exceptions import ClientError

        with self._translating(action, remote_path):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=object_key(remote_path))
            except ClientError as error:
                if code_of(error.response)[1] != 404:
                    raise
            # The answer to HEAD does not say what is missing, the file or the bucket.
            self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            return None

    def _cause(self, error: Exception, action: str) -> Cause | None:
        return cause_of(error, action, credentials=self._credentials)


def _listed(pages: Iterable[ListObjectsV2OutputTypeDef], prefix: str) -> Iterator[RemoteFile | None]:
    """Yield the files, and None for all else that lies there."""
    for page in pages:
        yield from (None for _ in page.get("CommonPrefixes", []))
        for found in page.get("Contents", []):
            # An object whose key ends so is a folder that a tool made.
            is_folder = found["Key"].endswith("/")
            name = found["Key"].removeprefix(prefix)
            yield None if is_folder else RemoteFile(name=name, size=found["Size"], modified=found["LastModified"])


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
