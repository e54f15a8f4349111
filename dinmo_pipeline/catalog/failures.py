"""The border to Dagster: our errors become failures in plain words, which no retry policy tries again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dagster import AssetExecutionContext, Failure, OutputContext

from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.masking import masked_errors
from dinmo_pipeline.storages.waiting import allow_waiting

P = ParamSpec("P")
R = TypeVar("R")


def failing(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, whose DinmoError comes out as a Failure with the same words, and no error with a secret in it.

    What may pass by itself was tried again where it arose, with the same bytes; Dagster would start from the beginning. That this waits
    is told in the log of the context that `function` is given.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        logs = [context.log for context in args if isinstance(context, OutputContext | AssetExecutionContext)]
        with masked_errors():
            try:
                with allow_waiting(*(log.warning for log in logs)):
                    return function(*args, **kwargs)
            except DinmoError as error:
                raise failure_of(error) from error

    return wrapped


def failure_of(error: DinmoError) -> Failure:
    """Return what Dagster shows of the error."""
    return Failure(description=str(error), metadata={"error": type(error).__name__}, allow_retries=False)
