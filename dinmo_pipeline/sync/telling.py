"""What an attempt leaves behind: why it failed is recorded, and people are told when an activation's condition changes, once."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import tenacity

from dinmo_pipeline.errors import (
    BusyError,
    CallError,
    DataError,
    DinmoError,
    OutdatedStateError,
    PermanentStorageError,
    StateError,
    SyncBlocked,
    SyncRefused,
    TransientMessageError,
)
from dinmo_pipeline.masking import masked
from dinmo_pipeline.notify.contract import Notice, NoticeState
from dinmo_pipeline.project.specs import ActivationSpec, NotifySpec, Project
from dinmo_pipeline.sync.condition import FINE, Condition, condition_of, current_failure
from dinmo_pipeline.sync.patience import checksum_of
from dinmo_pipeline.sync.redirect import is_redirected
from dinmo_pipeline.sync.standing import Failure, Standing, StandingDraft, StandingFile, Told
from dinmo_pipeline.sync.state import State
from dinmo_pipeline.sync.state_store import open_state

UI_URL = "DINMO_UI_URL"
_TRIES, _PAUSE_S = 3, 1.0


class Teller:
    """Records how attempts of one activation end, and tells who is to be told of it. While deliveries go elsewhere, nobody is told."""

    def __init__(self, project: Project, spec: ActivationSpec) -> None:
        self._project = project
        self._spec = spec
        self._clock = project.clock
        self._log = open_state(project).log(project, spec)
        self._file = StandingFile(project.home / "state", spec.name)

    def failed(self, error: BaseException, *, run: str | None = None) -> tuple[str, ...]:
        """An attempt ended with this error. Returns what could not be sent to whom, in words.

        An error of the call alone changes nothing: the activation is as it was.
        """
        if is_redirected() or isinstance(error, CallError) or (isinstance(error, SyncRefused) and not isinstance(error, SyncBlocked)):
            return ()
        try:
            state = self._log.read()
        except StateError:
            # The log itself may be what is broken: it is told all the same.
            state = State()
        with self._file.changed() as draft:
            draft.failed(self._failure(error, current_failure(state, draft.standing.failure), run))
            self._tell(draft, condition_of(self._spec.name, state, draft.standing.failure, cut_off_before=None))
            return unsent_of(self._project, draft.standing)

    def ended(self, *, run: str | None = None) -> tuple[str, ...]:
        """A step of an attempt ended well. Returns what could not be sent to whom, in words."""
        return () if self._is_silent() else self._look(cut_off_before=None, run=run)

    def look(self, *, patience: timedelta) -> tuple[str, ...]:
        """See how the activation is while no attempt of ours runs: a sync that began longer ago and never ended was cut off.

        Returns what could not be sent to whom, in words.
        """
        if self._is_silent():
            return ()
        try:
            with self._log.locked(wait_s=0):
                return self._look(cut_off_before=self._clock() - patience)
        except BusyError:
            return self._look(cut_off_before=None)

    def _look(self, *, cut_off_before: datetime | None, run: str | None = None) -> tuple[str, ...]:
        try:
            state = self._log.read()
        except OutdatedStateError:
            # The attempt itself says so, or goes on from it.
            return ()
        with self._file.changed() as draft:
            draft.failed(current_failure(state, draft.standing.failure))
            self._tell(draft, condition_of(self._spec.name, state, draft.standing.failure, cut_off_before=cut_off_before), run)
            return unsent_of(self._project, draft.standing)

    def _is_silent(self) -> bool:
        """Whether there is nothing to tell, or nobody, and no failure to forget."""
        if is_redirected() or not self._file.folder.exists():
            return True
        return not self._project.notifications and self._file.read().failure is None

    def _failure(self, error: BaseException, earlier: Failure | None, run: str | None) -> Failure:
        now = self._clock()
        known = isinstance(error, DinmoError)
        failure = Failure(
            error=type(error).__name__,
            text=str(error) if known else masked(f"{type(error).__name__}: {error}"),
            without_data=error.without_data
            if isinstance(error, DinmoError)
            else f"an unexpected {type(error).__name__}; the run's log has it",
            lasting=isinstance(error, DataError | PermanentStorageError),
            at=now,
            since=now,
            attempts=1,
            definitions=checksum_of(self._project, self._spec),
            run=run,
        )
        if earlier is None or earlier.error != failure.error:
            return failure
        return replace(failure, since=earlier.since, attempts=earlier.attempts + 1)

    def _tell(self, draft: StandingDraft, condition: Condition, run: str | None = None) -> None:
        """`run` is the one that ended well, if one did: what went wrong before has its own."""
        for notify in self._project.notifications.values():
            if not notify.concerns(self._spec.name):
                continue
            now = FINE if condition.health == "warning" and notify.level == "failure" else condition
            before = draft.standing.told.get(notify.name, Told(FINE.mark, self._clock()))
            if now.mark == before.mark:
                draft.nothing_to_tell(notify.name)
                continue
            notice = self._notice(now, before, now.run or run)
            try:
                partly = _send(notify, notice, self._project)
            except DinmoError as error:
                draft.could_not_tell(notify.name, str(error))
            else:
                draft.told(notify.name, Told(now.mark, notice.since), partly)

    def _notice(self, condition: Condition, before: Told, run: str | None) -> Notice:
        zone = ZoneInfo(self._spec.timezone)
        since = (condition.since or self._clock()).astimezone(zone)
        states: dict[str, NoticeState] = {"fine": "recovered", "warning": "warning", "blocked": "blocked", "failed": "failed"}
        what = condition.what or f"Before, since {before.since.astimezone(zone):%Y-%m-%d %H:%M %Z}: {before.mark}."
        link = f"{address.rstrip('/')}/runs/{run}" if (address := os.environ.get(UI_URL)) and run else None
        return Notice(self._project.root.name, self._spec.name, states[condition.health], since, what, condition.advice, link)


def _send(notify: NotifySpec, notice: Notice, project: Project) -> str | None:
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientMessageError),
        wait=tenacity.wait_fixed(_PAUSE_S),
        stop=tenacity.stop_after_attempt(_TRIES),
        reraise=True,
    )
    return retrying(notify.channel.send, notice, project.root)


def unsent_of(project: Project, standing: Standing) -> tuple[str, ...]:
    """Who was not told of what the activation's condition is, and why."""
    return tuple(f"{name} was not told: {reason}" for name, reason in standing.unsent.items() if name in project.notifications)
