"""What people are told, and what a channel is that carries it. Notices hold no customer's data: who makes one sees to that."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

NoticeState = Literal["failed", "blocked", "warning", "recovered"]

_TITLES: dict[NoticeState, str] = {
    "failed": "failed",
    "blocked": "is blocked",
    "warning": "was delivered, with a warning",
    "recovered": "is delivered again",
}


@dataclass(frozen=True)
class Notice:
    """A change of an activation: how it is now and since when, what happened, what to do, and where the run shows."""

    project: str
    activation: str
    state: NoticeState
    since: datetime
    what: str
    advice: str = ""
    link: str | None = None

    @property
    def id(self) -> str:
        """The same for the same change, however often it is sent."""
        text = "\n".join((self.project, self.activation, self.state, self.since.isoformat(), self.what))
        return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.activation} {_TITLES[self.state]}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands under the title."""
        since = f"since {self.since:%Y-%m-%d %H:%M %Z}, project {self.project}"
        return tuple(line for line in (since, self.what, self.advice, self.link) if line)


class Channel(BaseModel, ABC):
    """A way to people; holds no secret, only where to find it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @abstractmethod
    def send(self, notice: Notice, project_root: Path) -> str | None:
        """Tell somebody of it; who could not be told though others were, in words.

        MessageError when nobody was told, its kind TransientMessageError when another try may do; PermanentStorageError when a
        secret is missing.
        """
