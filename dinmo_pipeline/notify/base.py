"""What people are told, and what a channel is that carries it. Notices hold no customer's data: who makes one sees to that."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

NoticeState = Literal["failed", "blocked", "late", "warning", "recovered"]
NoticeKind = Literal["activation", "inbox", "feed"]

_TITLES: dict[NoticeKind, dict[NoticeState, str]] = {
    "activation": {
        "failed": "failed",
        "blocked": "is blocked",
        "late": "is late",
        "warning": "was delivered, with a warning",
        "recovered": "is delivered again",
    },
    "feed": {"late": "is late", "recovered": "is no longer late"},
    "inbox": {"recovered": "recovered"},
}


@dataclass(frozen=True)
class Notice:
    """A change of an activation, an inbox or a feed: how it is now and since when, what happened, what to do, where the run shows.

    `marks` say in a few words what is open, or is so no longer.
    """

    project: str
    name: str
    state: NoticeState
    since: datetime
    what: str
    advice: str = ""
    link: str | None = None
    kind: NoticeKind = "activation"
    marks: str = ""

    @property
    def id(self) -> str:
        """The same for the same change, however often it is sent."""
        kind = () if self.kind == "activation" else (self.kind,)
        text = "\n".join((*kind, self.project, self.name, self.state, self.since.isoformat(), self.what))
        return f"msg_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"

    @property
    def title(self) -> str:
        """One line."""
        name = self.name if self.kind == "activation" else f"{self.kind} {self.name}"
        told = _TITLES[self.kind].get(self.state)
        return f"{name} {told}" if told is not None else f"{name}: {self.marks or self.state}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands under the title."""
        since = f"since {self.since:%Y-%m-%d %H:%M %Z}, project {self.project}"
        return tuple(line for line in (since, self.what, self.advice, self.link) if line)


TIMEOUT_S = 30.0


class Channel(BaseModel, ABC):
    """A way to people; holds no secret, only where to find it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @abstractmethod
    def send(self, notice: Notice, project_root: Path, *, timeout_s: float = TIMEOUT_S) -> str | None:
        """Tell somebody of it; who could not be told though others were, in words. Each answer is waited for `timeout_s` seconds.

        MessageError when nobody was told, its kind TransientMessageError when another try may do; PermanentStorageError when a
        secret is missing.
        """
