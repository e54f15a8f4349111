"""Send messages about one subject: decide under a lock, send without it, record under the lock again.

The process that decides to send a message writes a *claim* into the alert state. Other processes do not send it until the claim is
recorded as sent, is three minutes old, or its process is gone. So each message is sent at least once: the next look sends what a killed
process did not record. A message is sent twice, with the same id, only when its process dies, or stands still for longer than its claim,
between the server's answer and the record of it. The process that sends looks again afterwards, for what has changed meanwhile.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import tenacity

from dinmo_pipeline.alerts.alert import Alert, Change, LastAlert, Subject, change_of
from dinmo_pipeline.alerts.alert_state import CLAIM, AlertState, AlertStateFile, AlertStateUpdate, Claim
from dinmo_pipeline.errors import DinmoError, TransientMessageError
from dinmo_pipeline.masking import masked
from dinmo_pipeline.notify.base import Notice
from dinmo_pipeline.project.specs import NotifySpec, Project

UI_URL = "DINMO_UI_URL"
BUDGET_S = 60.0
"""How long a look may take to send all that is to be sent; what is not sent by then is left to the next one."""
_TRIES, _PAUSE_S, _TIMEOUT_S, _LEAST_S = 3, 1.0, 30.0, 1.0
# More changes than come about while a few messages are sent.
_ROUNDS = 5

F = TypeVar("F")


@dataclass
class _Message:
    """A message that this process has claimed; `arrived` once it has, `problem` is who was not told and why."""

    notify: NotifySpec
    notice: Notice
    told: LastAlert
    claim: Claim
    arrived: bool = False
    problem: str | None = None


class Notifier:
    """Tells people of the alerts of one subject."""

    def __init__(self, project: Project, subject: Subject, file: AlertStateFile) -> None:
        self._project = project
        self._subject = subject
        self._file = file

    def tell(
        self,
        find: Callable[[], F],
        judge: Callable[[F, AlertStateUpdate], Sequence[Alert]],
        *,
        run: str | None = None,
        groups: Collection[str] | None = None,
        budget_s: float | None = None,
    ) -> tuple[str, ...]:
        """Tell what has changed; who could not be told and why, in words. StateError when the alert state cannot be kept.

        `find` gathers what is known and may take its time; `judge` makes the alerts of it at once, and may note in the draft what it
        found. `groups` are those that were looked at, all by default. `run` is the one that ended well, if one did.
        """
        end = time.monotonic() + (BUDGET_S if budget_s is None else budget_s)
        for number in range(_ROUNDS):
            revision = self._file.read().revision
            found = find()
            with self._file.changed() as draft:
                if draft.alert_state.revision != revision and number + 1 < _ROUNDS:
                    # Somebody has recorded what is newer than what was found.
                    continue
                messages = self._claim(draft, judge(found, draft), run if number == 0 else None, groups)
            if not messages:
                break
            _send_all(messages, self._project, end)
            with self._file.changed() as draft:
                for message in messages:
                    _record(draft, message)
            if not any(message.arrived for message in messages):
                break
        return unsent_of(self._project, self._file.read())

    def _claim(self, draft: AlertStateUpdate, alerts: Sequence[Alert], run: str | None, groups: Collection[str] | None) -> list[_Message]:
        now = self._project.clock()
        messages = []
        for notify in self._project.notifications.values():
            before = draft.alert_state.told.get(notify.name)
            concerned = [alert for alert in alerts if self._concerns(notify, alert)]
            change = change_of(before, concerned, now=now, groups=groups)
            if not isinstance(change, Change):
                draft.nothing_to_tell(notify.name)
                if change is not None:
                    draft.told(notify.name, change)
                continue
            claimed = draft.alert_state.claims.get(notify.name)
            if claimed is not None and claimed.holds(now):
                continue
            claim = Claim(secrets.token_hex(8), socket.gethostname(), os.getpid(), now + CLAIM)
            draft.claim(notify.name, claim)
            messages.append(_Message(notify, self._notice(change, before or LastAlert("fine", now), run), change.told, claim))
        return messages

    def _concerns(self, notify: NotifySpec, alert: Alert) -> bool:
        names = (self._subject.name, *alert.of)
        return any(map(notify.concerns, names)) and (alert.state != "warning" or notify.level == "warning")

    def _notice(self, change: Change, before: LastAlert, run: str | None) -> Notice:
        zone = ZoneInfo(self._subject.timezone)
        what = change.what
        if change.state == "recovered":
            what = f"Before, since {before.since.astimezone(zone):%Y-%m-%d %H:%M %Z}: {change.marks}.{what}"
        shown = change.run or run
        link = f"{address.rstrip('/')}/runs/{shown}" if (address := os.environ.get(UI_URL)) and shown else None
        since: datetime = change.since.astimezone(zone)
        return Notice(
            self._project.root.name,
            self._subject.name,
            change.state,
            since,
            what,
            change.advice,
            link,
            kind=self._subject.kind,
            marks=change.marks,
        )


def unsent_of(project: Project, alert_state: AlertState) -> tuple[str, ...]:
    """Return who was not told of how a subject is now, and why."""
    return tuple(f"{name} was not told: {reason}" for name, reason in alert_state.unsent.items() if name in project.notifications)


def _record(draft: AlertStateUpdate, message: _Message) -> None:
    name = message.notify.name
    claimed = draft.alert_state.claims.get(name)
    if claimed is None or claimed.token != message.claim.token:
        # It took so long that another process went on from there.
        return
    draft.claim(name, None)
    if message.arrived:
        draft.told(name, message.told, message.problem)
    else:
        draft.could_not_tell(name, message.problem or "nobody knows why")


def _send_all(messages: Sequence[_Message], project: Project, end: float) -> None:
    """Send them at once, each in a thread, so that one server that does not answer keeps no other message; up to the moment `end`.

    A thread that is left behind ends by itself: it is given no time of its own beyond that.
    """
    outcomes: dict[str, tuple[bool, str | None]] = {}

    def send(message: _Message) -> None:
        try:
            outcomes[message.notify.name] = True, _send(message.notify, message.notice, project, end)
        except DinmoError as error:
            outcomes[message.notify.name] = False, str(error)
        except Exception as error:  # noqa: BLE001 (told as the reason: a thread has nobody to raise it to)
            outcomes[message.notify.name] = False, masked(f"an unexpected {type(error).__name__}: {error}")

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(message,), name="dinmo-message", daemon=True) for message in messages]
    for thread in threads:
        thread.start()
    for message, thread in zip(messages, threads, strict=True):
        thread.join(max(end - time.monotonic(), _LEAST_S))
        late = False, f"it did not answer within {time.monotonic() - began:,.0f} s; the next look tries again"
        message.arrived, message.problem = outcomes.get(message.notify.name, late)


def _send(notify: NotifySpec, notice: Notice, project: Project, end: float) -> str | None:
    def once() -> str | None:
        timeout_s = min(_TIMEOUT_S, max(end - time.monotonic(), _LEAST_S))
        return notify.channel.send(notice, project.root, timeout_s=timeout_s)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientMessageError),
        wait=tenacity.wait_fixed(_PAUSE_S),
        stop=tenacity.stop_after_attempt(_TRIES) | tenacity.stop_after_delay(max(end - time.monotonic() - _PAUSE_S - _LEAST_S, 0)),
        reraise=True,
    )
    return retrying(once)
