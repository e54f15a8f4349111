"""How an activation, an inbox or a feed stands beside what was done: why its last attempt failed, and what people were told of it.

`standing.json` in a folder of the project's home, also where the log of an activation is elsewhere. What was delivered is the log's
alone; when this file is lost, a failure that lasts is told once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dinmo_pipeline.alerts.alert import LastAlert
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.contents import replace_file
from dinmo_pipeline.local_files.locks import is_gone, locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import Project

CLAIM = timedelta(minutes=3)
"""Longer than any message takes to be sent, or given up."""
# It is held for the time of reading and writing a small file.
_WAIT_S = 30.0


@dataclass(frozen=True)
class Failure:
    """Why the last attempt failed: `text` in full, `without_data` free of rows. So many `attempts` in a row have failed since `since`.

    `lasting`: trying again does not cure it by itself. `definitions` is a checksum of what was to be done, `inputs` of the data that it
    was done with, where that may be the reason; `run` is Dagster's.
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
    inputs: str | None = None


@dataclass(frozen=True)
class Claim:
    """Who is sending a message now, without a lock: others leave it alone until then, or until that process is gone."""

    token: str
    host: str
    pid: int
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Return whether it still keeps others from sending; one from the future was made before a clock was set back."""
        return now < self.until <= now + CLAIM and not is_gone(self.pid, self.host)


@dataclass(frozen=True)
class AlertState:
    """`told`, `unsent` (why a message could not be sent) and `claims` are by the name of who is told.

    `revision` counts what was written. Days from `expected_since` on count for what is expected.
    """

    failure: Failure | None = None
    told: Mapping[str, LastAlert] = field(default_factory=dict)
    unsent: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)
    revision: int = 0
    expected_since: date | None = None


class AlertStateFile:
    """The alert state on disk, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "standing.json"

    def read(self) -> AlertState:
        """Return what was written last; an empty one where nothing was, or nothing that makes sense. StateError when it cannot be read."""
        try:
            return _adapter().validate_json(self.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            # Whatever lasts is told once more; a delivery must not fail for this.
            return AlertState()
        except OSError as error:
            raise StateError(f"reading {self.path}: {error.strerror}; mend the folder's rights") from error

    @contextmanager
    def changed(self) -> Iterator[AlertStateUpdate]:
        """Yield the alert state to be replaced.

        One process at a time, for the moment that it takes to decide: nothing is waited for meanwhile.

        StateError when it cannot be written, BusyError when another process does not let go of it.
        """
        with ExitStack() as held:
            try:
                make_private_folder(self.folder)
                held.enter_context(locked(self.path.with_suffix(".lock"), what=f"{self.path}", wait_s=_WAIT_S))
            except OSError as error:
                raise StateError(f"writing {self.path}: {error.strerror}; mend the folder") from error
            draft = AlertStateUpdate(self.read())
            before = draft.alert_state
            yield draft
            if draft.alert_state != before:
                self._write(replace(draft.alert_state, revision=before.revision + 1))

    def _write(self, alert_state: AlertState) -> None:
        try:
            replace_file(self.path, _adapter().dump_json(alert_state, indent=1))
        except OSError as error:
            raise StateError(f"writing {self.path}: {error.strerror}; mend the folder") from error


@dataclass
class AlertStateUpdate:
    """An alert state that is being replaced."""

    alert_state: AlertState

    def told(self, name: str, told: LastAlert, unsent: str | None = None) -> None:
        """Record an alert that was sent; `unsent` names the recipients that did not get it, and why."""
        self.nothing_to_tell(name)
        if unsent is not None:
            self.could_not_tell(name, unsent)
        self.alert_state = replace(self.alert_state, told={**self.alert_state.told, name: told})

    def nothing_to_tell(self, name: str) -> None:
        """Drop the record of an alert that could not be sent: it is no longer true."""
        self.alert_state = replace(
            self.alert_state, unsent={other: text for other, text in self.alert_state.unsent.items() if other != name}
        )

    def could_not_tell(self, name: str, reason: str) -> None:
        """Record why no recipient got the alert."""
        self.alert_state = replace(self.alert_state, unsent={**self.alert_state.unsent, name: reason})

    def failed(self, failure: Failure | None) -> None:
        """Record that the last attempt failed, or with None that it did its work."""
        self.alert_state = replace(self.alert_state, failure=failure)

    def claim(self, name: str, claim: Claim | None) -> None:
        """Keep others from sending a message to somebody, or no longer."""
        others = {other: held for other, held in self.alert_state.claims.items() if other != name}
        self.alert_state = replace(self.alert_state, claims=others if claim is None else {**others, name: claim})

    def expected_since(self, day: date) -> date:
        """Return from which day on what is expected counts: today, `day`, at the first look."""
        if self.alert_state.expected_since is None:
            self.alert_state = replace(self.alert_state, expected_since=day)
        return self.alert_state.expected_since or day


def activation_alert_state(project: Project, name: str) -> AlertStateFile:
    """Return the alert state of an activation."""
    return AlertStateFile(project.home / "state" / "activations" / name)


def inbox_alert_state(project: Project, name: str) -> AlertStateFile:
    """Return the alert state of an inbox: its passes, and what waits for a person there."""
    return AlertStateFile(project.home / "inbound" / name)


def feed_alert_state(project: Project, name: str) -> AlertStateFile:
    """Return the alert state of a feed: whether its files come when they are expected."""
    return AlertStateFile(project.home / "inbound" / project.feeds[name].inbox / "feeds" / name)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[AlertState]:
    return TypeAdapter(AlertState)
