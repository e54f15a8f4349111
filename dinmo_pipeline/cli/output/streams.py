"""Standard output and standard error whose reader may go away, or whose disk may be full: neither ends the work half-way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from dinmo_pipeline.errors import OutputError


class _Guarded:
    """A stream that takes everything and passes it on for as long as it is read."""

    def __init__(self, stream: TextIO, *, must_be_whole: bool) -> None:
        self._stream = stream
        self._must_be_whole = must_be_whole

    def write(self, text: str) -> int:
        with self._passing_on():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._passing_on():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _passing_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._pass_on_no_more()
            # Whoever closes a pipe, as `head` does, has seen what he wanted.
            if self._must_be_whole and not isinstance(error, BrokenPipeError):
                raise OutputError(
                    f"writing to standard output: {error.strerror}; what was done is done, and `dinmo status` tells how things stand"
                ) from error

    def _pass_on_no_more(self) -> None:
        # What is left in the buffer goes nowhere, too, when Python ends.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard both streams meanwhile. OutputError where standard output cannot be written whole, except to a pipe that was closed."""
    before = sys.stdout, sys.stderr
    out, err = _Guarded(sys.stdout, must_be_whole=True), _Guarded(sys.stderr, must_be_whole=False)
    sys.stdout, sys.stderr = out, err
    try:
        yield
        out.flush()
    finally:
        sys.stdout, sys.stderr = before
