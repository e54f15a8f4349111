"""A command that somebody stops: one sentence, within two seconds whatever it was at, and the exit code that tells the signal.

What is stopped so is as whole as what is killed: its next run goes on from what is recorded.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dinmo_pipeline.activity import forget_activities, told_when_stopped
from dinmo_pipeline.masking import masked

_PATIENCE_S = 1.8
_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_ENDED = 0


class Stop:
    """Whether this command was stopped: by which signal, and the sentence about it as it was at that moment."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.sentence = ""

    @property
    def code(self) -> int:
        """The exit code that tells the signal."""
        return 128 + (self.signal or 0)

    def note(self, number: int) -> None:
        """Remember the first signal, and what was being done when it came."""
        if self.signal is None:
            self.sentence = masked(told_when_stopped(_SIGNALS[signal.Signals(number)]))
            self.signal = number


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Make KeyboardInterrupt of Ctrl-C and of SIGTERM; a second one, or two seconds in which nothing came of it, end the process."""
    stop = Stop()
    forget_activities()
    # A shell's background job ignores interrupts, and so does this; signals are of a process's first thread.
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        stop.note(number)
        raise KeyboardInterrupt

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    watcher = threading.Thread(target=_watch, args=(stop, reading), name="dinmo-stop", daemon=True)
    before = {number: signal.signal(number, interrupt) for number in heard}
    # Whoever handles the signal, as Dagster does meanwhile, and whatever the first thread is in: this is written when it comes.
    pipe_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield stop
    finally:
        os.write(writing, bytes([_ENDED]))
        watcher.join()
        signal.set_wakeup_fd(pipe_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _watch(stop: Stop, reading: int) -> None:
    patience: float | None = None
    while select.select([reading], [], [], patience)[0]:
        for number in os.read(reading, 64):
            if number == _ENDED:
                return
            if number in _SIGNALS and patience is not None:
                _end(stop)
            if number in _SIGNALS:
                stop.note(number)
                patience = _PATIENCE_S
    _end(stop)


def _end(stop: Stop) -> None:
    """End the process now: its first thread is in a query or a call that hears no signal."""
    # The cursor may be hidden, and its line half written.
    clean = "\r\x1b[2K\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{clean}{stop.sentence}\n".encode(errors="replace"))
    os._exit(stop.code)
