"""Every error that this package raises on purpose.

DinmoError
├── DefinitionErrors        the YAML or SQL is wrong: all findings at once, each with file and line
├── CallError               the command or the run was asked for something that cannot be done
├── DataError               the data forbids a delivery (null or duplicate key, missing column, a name clash)
├── SyncRefused             the state of the activation forbids this sync (superseded, delivered, base moved)
│   └── SyncBlocked         a guard stopped it; `dinmo approve` lets it pass
├── StateError              the ledger or a snapshot is not what was recorded
│   └── OutdatedStateError      the ledger went further once; a full sync goes on from it
├── StorageError            a storage said no
│   ├── TransientStorageError   worth another try: the same bytes, after a pause
│   └── PermanentStorageError   trying again changes nothing: says what to ask for
│       └── LimitError              a server sends more, or takes longer, than [tool.dinmo.limits] allows
├── MessageError            nobody could be told of a failure or a warning
│   └── TransientMessageError   another try may do
├── OutputError             what was done could not be told on standard output
└── BusyError               somebody else held a lock for longer than we wait

A message says what was being done, to what, what was found and what to do next. Whether to retry is the
type of the error, never a flag or a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dinmo_pipeline.masking import masked

_LONGEST, _LONGEST_MASKED = 2_000, 100_000


class DinmoError(Exception):
    """Base of all errors raised on purpose; its text is fit to be shown to a user: secrets in what it quotes are masked."""

    def __init__(self, message: str = "") -> None:
        super().__init__(masked(message))

    @property
    def without_data(self) -> str:
        """What of the text may leave the house: nothing from the rows of a customer."""
        return str(self)


@dataclass(frozen=True, order=True)
class Problem:
    """One finding about the definitions: where it stands and what is wrong, in words for its author."""

    file: str
    line: int
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", masked(self.message))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class DefinitionErrors(DinmoError):
    """The project's definitions are wrong; `problems` holds every finding, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        count = len(self.problems)
        noun = "error" if count == 1 else "errors"
        super().__init__(f"{count} {noun} in the definitions:\n" + "\n".join(map(str, self.problems)))


class CallError(DinmoError):
    """What was asked for cannot be done as asked; nothing was begun."""


class DataError(DinmoError):
    """The data forbids the delivery; nothing was delivered. What stands before the first colon names no row."""

    @property
    def without_data(self) -> str:
        return f"{str(self).partition(': ')[0]}: the data forbids it"


class SyncRefused(DinmoError):
    """The activation's state forbids this sync; nothing was delivered by it."""


class SyncBlocked(SyncRefused):
    """A guard stopped the sync before anything was delivered; it waits for `dinmo approve`."""


class StateError(DinmoError):
    """The ledger or a snapshot is not what was recorded, so no delta can be trusted."""


class OutdatedStateError(StateError):
    """The ledger was restored from an older backup: consumers may have been given syncs up to `number`, of which it knows nothing."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class StorageError(DinmoError):
    """A storage did not do what it was asked for. What a server says of that is cut where it is long, and of one line that can be seen."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_legible(message))


class TransientStorageError(StorageError):
    """A fault that may pass by itself; the publisher tries again with the same bytes."""


class PermanentStorageError(StorageError):
    """A fault that another try does not cure: a missing right, a missing folder, a full disk."""


class LimitError(PermanentStorageError):
    """A server sends more than it announced, or more, or slower, than a limit of the project allows; what came of it is of no use."""


class MessageError(DinmoError):
    """A message about an activation could not be sent; it is sent at the next sync, if it is still true. As legible as a StorageError."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_legible(message))


class TransientMessageError(MessageError):
    """A fault that may pass by itself; it is tried again after a pause."""


class OutputError(DinmoError):
    """What came of the work could not be written to standard output; the work itself is as it is."""


class BusyError(DinmoError):
    """Another process held the lock for longer than this one waits; nothing was begun."""


def _legible(text: str) -> str:
    r"""Return the text with escapes such as `\x1b` for unprintable characters; cut the middle of a long text: its end has the advice."""
    # Masked first: a secret that is cut, or written out, would not be known any more. Of megabytes it takes seconds.
    text = masked(_shortened(text, _LONGEST_MASKED))
    if not text.isprintable():
        spaced = " ".join(text.splitlines()).replace("\t", " ")
        text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in spaced)
    return _shortened(text, _LONGEST)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
