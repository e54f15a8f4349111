"""Files that are set aside: something about them failed, the others of their pass went on, and each is tried again.

It is kept with the inbox's other memory on this machine; losing that costs a file one more try, never its rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dinmo_pipeline.errors import DinmoError, StateError

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""What a sensor waits before a file is tried once more: longer after each failure."""
_TRIED = re.compile(r" \(tried \d+ times in [^)]*\)$")


@dataclass(frozen=True)
class SetAside:
    """A file that failed: where it lies in its inbox, what was seen of it then, and why; `since` is its first failure in a row.

    `loaded`: its rows are in its table, and it could only not be moved.
    """

    path: str
    feed: str
    sight: list[int | str | None]
    reason: str
    without_data: str
    since: datetime
    tried_at: datetime
    tries: int
    loaded: bool = False

    @property
    def next_try(self) -> datetime:
        """When a sensor asks for it again."""
        return self.tried_at + pause_after(self.tries)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON keeps it."""
        return {
            "feed": self.feed,
            "sight": self.sight,
            "reason": self.reason,
            "without_data": self.without_data,
            "since": self.since.isoformat(),
            "tried_at": self.tried_at.isoformat(),
            "tries": self.tries,
            "loaded": self.loaded,
        }


def pause_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row, one or more."""
    # The exponent is limited, as a timedelta is.
    return min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)


def kept_set_aside(path: str, kept: Mapping[str, Any]) -> SetAside:
    """Return what `plain` gave. Raises KeyError, TypeError or ValueError where it is something else."""
    return SetAside(
        path=path,
        feed=str(kept["feed"]),
        sight=list(kept["sight"]),
        reason=str(kept["reason"]),
        without_data=str(kept["without_data"]),
        since=datetime.fromisoformat(kept["since"]),
        tried_at=datetime.fromisoformat(kept["tried_at"]),
        tries=int(kept["tries"]),
        loaded=bool(kept["loaded"]),
    )


def why(error: Exception) -> str:
    """Return what a person is told of the failure of one file."""
    if isinstance(error, DinmoError):
        # How often and for how long it was tried makes no other reason of it.
        return _TRIED.sub("", str(error))
    if isinstance(error, MemoryError):
        return "reading it took more memory than there is; split the file, or import it on a larger machine"
    return f"reading it failed in a way that nobody foresaw, {type(error).__name__}: {error}; please report this"


def why_without_data(error: Exception) -> str:
    """Return the same, naming no row and no value."""
    # A warehouse's own words may quote the value that it could not take.
    if isinstance(error, DinmoError) and not (isinstance(error, StateError) and error.__cause__ is not None):
        return error.without_data
    return f"it could not be loaded ({type(error.__cause__ or error).__name__})"
