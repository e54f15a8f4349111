"""A storage's errors as a user meets them: their text, and that nothing which is shown or logged along with them holds a secret."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable

import pytest

from dinmo_pipeline.errors import StorageError


class Listener:
    """Hears all that is logged at the debug level, and every error that `refusal` catches."""

    def __init__(self, caplog: pytest.LogCaptureFixture, secrets: Iterable[str]) -> None:
        self._log = caplog
        self._secrets = [secret for secret in secrets if secret]
        self._said: list[str] = []
        caplog.set_level(logging.DEBUG)

    def add_secret(self, secret: str) -> None:
        """One more text that must not be shown."""
        self._secrets.append(secret)

    def refusal(self, kind: type[StorageError], act: Callable[[], object]) -> str:
        """The message of the error of this kind that `act` ends with."""
        with pytest.raises(StorageError) as caught:
            act()
        assert type(caught.value) is kind, caught.value
        self.hear("".join(traceback.format_exception(caught.value)))
        self.hear(repr(caught.value))
        return str(caught.value)

    def hear(self, text: str) -> None:
        """Something else that a user may see."""
        self._said.append(text)

    def check(self) -> None:
        """Fail when a secret was said."""
        said = "\n".join([*self._said, self._log.text, *(str(record.__dict__) for record in self._log.get_records("call"))])
        found = [position for secret in self._secrets if (position := said.find(secret)) >= 0]
        assert not found, f"a secret was shown: …{said[max(0, found[0] - 200) : found[0]]}<here>"
