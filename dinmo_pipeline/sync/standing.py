"""How an activation stands beside its log: why its last attempt failed, and what people were told of it.

`state/activations/<name>/standing.json` in the project's home, also where the log is elsewhere. What was delivered is the log's
alone; when this file is lost, a failure that lasts is told once more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.warehouse.folders import make_private_folder


@dataclass(frozen=True)
class Failure:
    """Why the last attempt did not deliver, in its own words and in those that name no row; `attempts` in a row ended so since `since`.

    `lasting`: trying again does not cure it by itself. `definitions` is a checksum of what was to be done, `run` is Dagster's.
    """

    error: str
    text: str
    without_data: str
    lasting: bool
    at: datetime
    since: datetime
    attempts: int
    definitions: str
    run: str | None = None


@dataclass(frozen=True)
class Told:
    """What somebody was told last: the mark of the condition, and since when it was so."""

    mark: str
    since: datetime


@dataclass(frozen=True)
class Standing:
    """`told` and `unsent` (why a message could not be sent) are by the name of who is told."""

    failure: Failure | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    unsent: Mapping[str, str] = field(default_factory=dict)


class StandingFile:
    """The standing of one activation on disk, in the `folder` of its log."""

    def __init__(self, state_folder: Path, activation: str) -> None:
        self.folder = state_folder / "activations" / activation
        self._path = self.folder / "standing.json"

    def read(self) -> Standing:
        """What was written last; an empty one where nothing was, or nothing that makes sense. StateError when it cannot be read."""
        try:
            return _adapter().validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            # Whatever lasts is told once more; a delivery must not fail for this.
            return Standing()
        except OSError as error:
            raise StateError(f"reading {self._path}: {error.strerror}; mend the folder's rights") from error

    @contextmanager
    def changed(self) -> Iterator[StandingDraft]:
        """The standing to be replaced; one process at a time. StateError when it cannot be written."""
        try:
            make_private_folder(self.folder)
            descriptor = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StateError(f"writing {self._path}: {error.strerror}; mend the folder") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            draft = StandingDraft(self.read())
            before = draft.standing
            yield draft
            if draft.standing != before:
                self._write(draft.standing)
        finally:
            os.close(descriptor)

    def _write(self, standing: Standing) -> None:
        # One name, since one process writes at a time: what a killed one left is written over.
        draft = self._path.with_suffix(".draft")
        try:
            descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(_adapter().dump_json(standing, indent=1))
            draft.replace(self._path)
        except OSError as error:
            raise StateError(f"writing {self._path}: {error.strerror}; mend the folder") from error
        finally:
            draft.unlink(missing_ok=True)


@dataclass
class StandingDraft:
    """A standing that is being replaced."""

    standing: Standing

    def told(self, name: str, told: Told, unsent: str | None) -> None:
        """Somebody knows; `unsent` is who does not though others do."""
        self.nothing_to_tell(name)
        if unsent is not None:
            self.could_not_tell(name, unsent)
        self.standing = replace(self.standing, told={**self.standing.told, name: told})

    def nothing_to_tell(self, name: str) -> None:
        """What could not be told is no longer so."""
        self.standing = replace(self.standing, unsent={other: text for other, text in self.standing.unsent.items() if other != name})

    def could_not_tell(self, name: str, reason: str) -> None:
        """Nobody knows."""
        self.standing = replace(self.standing, unsent={**self.standing.unsent, name: reason})

    def failed(self, failure: Failure | None) -> None:
        """The last attempt did not deliver; None: it did."""
        self.standing = replace(self.standing, failure=failure)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Standing]:
    return TypeAdapter(Standing)
