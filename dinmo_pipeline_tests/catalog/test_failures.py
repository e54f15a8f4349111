"""The border to Dagster: our errors in our words, and no retry from the beginning."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance, Failure, RetryPolicy, job, op

from dinmo_pipeline.catalog.failures import failing
from dinmo_pipeline.errors import PermanentStorageError


def test_our_error_becomes_a_failure_with_its_words_and_its_name() -> None:
    @failing
    def deliver() -> None:
        raise PermanentStorageError("could not make the folder /out")

    with pytest.raises(Failure) as caught:
        deliver()

    assert caught.value.description == "could not make the folder /out"
    assert caught.value.metadata["error"].value == "PermanentStorageError"
    assert isinstance(caught.value.__cause__, PermanentStorageError)


def test_other_errors_pass_as_they_are() -> None:
    @failing
    def deliver() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver()


def test_retry_policy_does_not_try_our_errors_again() -> None:
    attempts = []

    @op(retry_policy=RetryPolicy(max_retries=3))
    def deliver() -> None:
        attempts.append(1)
        failing(_refuse)()

    @job
    def sync() -> None:
        deliver()

    with DagsterInstance.ephemeral() as instance:
        assert not sync.execute_in_process(instance=instance, raise_on_error=False).success
    assert len(attempts) == 1


def _refuse() -> None:
    raise PermanentStorageError("no right")
