"""What an attempt leaves behind: why it failed is recorded, and people are told when an activation's condition changes, once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from dinmo_pipeline.alerts.alert import Alert, Subject
from dinmo_pipeline.alerts.alert_state import AlertStateUpdate, Failure, activation_alert_state
from dinmo_pipeline.alerts.expected import late_alert
from dinmo_pipeline.alerts.notifier import Notifier
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
)
from dinmo_pipeline.masking import masked
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.alerts.backoff import checksum_of
from dinmo_pipeline.sync.alerts.health import CONDITION, condition_of, current_failure
from dinmo_pipeline.sync.alerts.lateness import lateness_of
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.deliver.redirect import is_redirected
from dinmo_pipeline.sync.ledger.state import State


class ActivationNotifier:
    """Records how attempts of one activation end, and tells who is to be told of it. While deliveries go elsewhere, nobody is told.

    No method waits for a person's server while it holds a lock; each takes `alerts.notifier.BUDGET_S` at most to send.
    """

    def __init__(self, project: Project, spec: ActivationSpec) -> None:
        self._project = project
        self._spec = spec
        self._clock = project.clock
        self._log = open_state(project).log(project, spec)
        self._file = activation_alert_state(project, spec.name)
        self._notifier = Notifier(project, Subject("activation", spec.name, spec.timezone), self._file)

    def failed(self, error: BaseException, *, run: str | None = None, inputs: Callable[[], str] | None = None) -> tuple[str, ...]:
        """Return an attempt ended with this error. Returns what could not be sent to whom, in words.

        An error of the call alone changes nothing: the activation is as it was. `inputs` makes a checksum of the data that it
        worked with, where that may be why.
        """
        if not isinstance(error, Exception):
            # Stopped by somebody, who knows.
            return ()
        if is_redirected() or isinstance(error, CallError) or (isinstance(error, SyncRefused) and not isinstance(error, SyncBlocked)):
            return ()
        state = self._read_or_empty()
        read = inputs() if inputs is not None and isinstance(error, DataError) else None
        with self._file.changed() as draft:
            draft.failed(self._failure(error, current_failure(state, draft.alert_state.failure), run, read))
        return self._notifier.tell(self._read_or_empty, lambda found, draft: self._judge(found, draft, cut_off_before=None))

    def ended(self, *, run: str | None = None) -> tuple[str, ...]:
        """Return a step of an attempt ended well. Returns what could not be sent to whom, in words."""
        return () if self._is_silent() else self._look(cut_off_before=None, run=run)

    def look(self, *, patience: timedelta, deadlines: bool = True, budget_s: float | None = None) -> tuple[str, ...]:
        """See how the activation is while no attempt of ours runs: a sync that began longer ago and never ended was cut off.

        Returns what could not be sent to whom, in words. Without `deadlines`, that it is late, or no longer so, is told by others.
        """
        if self._is_silent():
            return ()
        cut_off_before: datetime | None = self._clock() - patience
        try:
            with self._log.locked(wait_s=0):
                # Free again before anything is read or sent: a sync that begins now began after `cut_off_before`.
                pass
        except BusyError:
            cut_off_before = None
        groups = None if deadlines else (CONDITION,)
        return self._look(cut_off_before=cut_off_before, groups=groups, budget_s=budget_s)

    def _look(
        self,
        *,
        cut_off_before: datetime | None,
        run: str | None = None,
        groups: Collection[str] | None = None,
        budget_s: float | None = None,
    ) -> tuple[str, ...]:
        try:
            return self._notifier.tell(
                self._log.read,
                lambda state, draft: self._judge(state, draft, cut_off_before=cut_off_before),
                run=run,
                groups=groups,
                budget_s=budget_s,
            )
        except OutdatedStateError:
            # The attempt itself says so, or goes on from it.
            return ()

    def _judge(self, state: State, draft: AlertStateUpdate, *, cut_off_before: datetime | None) -> tuple[Alert, ...]:
        draft.failed(current_failure(state, draft.alert_state.failure))
        condition = condition_of(self._spec.name, state, draft.alert_state.failure, cut_off_before=cut_off_before)
        alerts = () if condition is None else (condition,)
        late = lateness_of(self._spec, state, draft, now=self._clock())
        if late is None:
            return alerts
        return (*alerts, late_alert(late, advice=f"`dinmo status` tells more; `dinmo sync {self._spec.name}` delivers it."))

    def _read_or_empty(self) -> State:
        try:
            return self._log.read()
        except StateError:
            # The log itself may be what is broken: it is told all the same.
            return State()

    def _is_silent(self) -> bool:
        """Return whether there is nothing to tell, or nobody, and no failure to forget."""
        if is_redirected():
            return True
        if not self._file.folder.exists() and self._spec.expected is None:
            return True
        return not self._project.notifications and self._spec.expected is None and self._file.read().failure is None

    def _failure(self, error: BaseException, earlier: Failure | None, run: str | None, inputs: str | None) -> Failure:
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
            inputs=inputs,
        )
        if earlier is None or earlier.error != failure.error:
            return failure
        return replace(failure, since=earlier.since, attempts=earlier.attempts + 1)
