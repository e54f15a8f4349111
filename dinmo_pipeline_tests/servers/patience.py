"""How long is waited before a store is asked again: where a test lets it refuse for good, hardly at all."""

from __future__ import annotations

import pytest
from azure.storage.blob.aio import LinearRetry
from botocore.retries.standard import ExponentialBackoff

from dinmo_pipeline.storages.gcs import transport as gcs_transport
from dinmo_pipeline.storages.retrying import Connection

_PAUSE_S = 0.01
# Google is asked again for some seconds, not so many times: enough for the first pause, of half a second, and an attempt after it.
_GOOGLE_S = 1.0


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores are asked again after next to nothing; how often, is the product's, but for Google's, which are fewer."""
    monkeypatch.setattr(LinearRetry, "get_backoff_time", lambda *_: _PAUSE_S)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: _PAUSE_S)
    monkeypatch.setattr(gcs_transport, "RETRY_SECONDS", _GOOGLE_S)
    monkeypatch.setattr(Connection.__init__, "__kwdefaults__", {"first_pause_s": _PAUSE_S})
