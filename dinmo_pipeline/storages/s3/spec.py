"""An S3 bucket as the user defines it, on AWS or any server that speaks S3, and how it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.secrets import SecretField, Setting
from dinmo_pipeline.storages.answers import Answers, refuse_document_type
from dinmo_pipeline.storages.object_store.contract import ANSWER_SECONDS, CONNECT_SECONDS, ObjectStoreSpec, address_problem
from dinmo_pipeline.storages.s3.session import S3Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3BucketSpec(ObjectStoreSpec):
    """A bucket of AWS S3, or of another server that speaks S3. Without keys, the machine's default credentials."""

    bucket: Setting = Field(description="The bucket's name.")
    access_key_id: Setting | None = Field(default=None, description="The name of the access key.")
    secret_access_key: SecretField | None = Field(default=None, description="Where the access key's secret is.")
    region: Setting | None = Field(default=None, description="The region that the bucket is in; the machine's default region by default.")
    endpoint_url: Setting | None = Field(default=None, description="The address of another server than AWS.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("'access_key_id' and 'secret_access_key' belong together; write both, or neither for default credentials")
        if isinstance(self.endpoint_url, str) and (problem := address_problem(self.endpoint_url)) is not None:
            raise ValueError(f"endpoint_url: {problem}")
        return self

    @property
    def address(self) -> str:
        return _address(None if self.endpoint_url is None else str(self.endpoint_url), str(self.bucket))

    def resolved_address(self, project_root: Path) -> str:
        return _address(self._optional_text("endpoint_url", self.endpoint_url, project_root), self._bucket(project_root))

    def connect(self, project_root: Path) -> S3Bucket:
        endpoint, bucket = self._optional_text("endpoint_url", self.endpoint_url, project_root), self._bucket(project_root)
        if endpoint is not None and (problem := address_problem(endpoint)) is not None:
            raise PermanentStorageError(f"could not use the endpoint_url of storage {self.name}: {problem}")
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            client = Session().client(
                "s3",
                aws_access_key_id=self._optional_text("access_key_id", self.access_key_id, project_root),
                aws_secret_access_key=self._optional_text("secret_access_key", self.secret_access_key, project_root),
                region_name=self._optional_text("region", self.region, project_root),
                endpoint_url=endpoint,
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=ANSWER_SECONDS,
                    # A part that was lost is soon sent again, so that it does not cost the whole file; longer waits are the publisher's.
                    retries={"total_max_attempts": 3, "mode": "standard"},
                    # Each body goes with its MD5; the newer checksums are unknown to many servers.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        except (BotoCoreError, ValueError):
            advice = "the endpoint_url, the region or the machine's own S3 settings are of the wrong form; correct them"
            raise PermanentStorageError(f"could not open {_address(endpoint, bucket)} (storage {self.name}): {advice}") from None
        answers = Answers(read_limits(project_root))
        _count_answers(client, answers)
        return S3Bucket(
            name=self.name,
            bucket=bucket,
            place=f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"s3://{bucket}",
            client=client,
            credentials="the default credentials" if self.access_key_id is None else f"the access key {self.access_key_id}",
            answers=answers,
        )

    def _bucket(self, project_root: Path) -> str:
        return self._text("bucket", self.bucket, project_root)


def _count_answers(client: S3Client, answers: Answers) -> None:
    """Have the client take no more of the server than the limits allow; it offers no way to be given connections."""
    session = client._endpoint.http_session  # type: ignore[attr-defined]
    session._pool_classes_by_scheme = answers.pool_classes(*map(session._pool_classes_by_scheme.get, ("http", "https")))
    session._manager.pool_classes_by_scheme = session._pool_classes_by_scheme

    def look(response_dict: Mapping[str, Any], **_: Any) -> None:
        if isinstance(content := response_dict.get("body"), bytes):
            refuse_document_type(content)

    client.meta.events.register_first("before-parse.s3", look)


def _address(endpoint: str | None, bucket: str) -> str:
    return f"s3:{endpoint.rstrip('/')}/{bucket}" if endpoint else f"s3:{bucket}"
