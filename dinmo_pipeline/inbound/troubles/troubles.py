"""Troubles: what of an inbox or a feed waits for a person, kept beside the inbox's other memory until it is resolved.

Each pass writes what is open then, so that anybody may read it at once: no lock, no network, no warehouse.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from dinmo_pipeline.local_files.contents import draft_of, replace_file
from dinmo_pipeline.project.specs import Project

TroubleKind = Literal["failed", "set aside", "refused", "blocked", "unmatched", "rejected", "unlisted", "missing"]
SEVERE: frozenset[TroubleKind] = frozenset({"failed", "set aside", "refused", "blocked"})
"""Kinds where a file, or all of them, is not in its table; of the others a part may be missing."""


@dataclass(frozen=True)
class Trouble:
    """Something about an inbox or a feed that waits for a person.

    `feed` and `file` are None where it is of the whole inbox, or of no one file; `file` is a path in the inbox, printable. `reason`
    tells all; `without_data` names no row and no value, and may leave the house. `since` is aware.
    """

    inbox: str
    feed: str | None
    file: str | None
    kind: TroubleKind
    reason: str
    without_data: str
    advice: str
    since: datetime

    @property
    def key(self) -> str:
        """The same for the same trouble at each pass: it neither tells the time nor repeats the reason."""
        # Files with rejected records follow each other: for people that is one trouble of the feed.
        file = None if self.kind == "rejected" else self.file
        return json.dumps([self.inbox, self.feed, self.kind, file], ensure_ascii=False)

    @property
    def is_severe(self) -> bool:
        """Whether a file is not in its table because of it."""
        return self.kind in SEVERE

    def __str__(self) -> str:
        about = self.file or self.feed or f"inbox {self.inbox}"
        # A reason may begin with the file's own name, and end as a sentence does.
        reason = self.reason.removeprefix(f"{about.rpartition('/')[2]}: ").removesuffix(".")
        return f"{about}: {self.kind}: {reason}" + f"; {self.advice}" * bool(self.advice)


def troubles_path(project: Project, inbox: str) -> Path:
    """Return where the open troubles of an inbox are kept on this machine."""
    return project.home / "inbound" / inbox / "troubles.json"


def ordered(troubles: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Return the severe ones first, then by feed and file."""
    kinds = get_args(TroubleKind)
    return tuple(sorted(troubles, key=lambda each: (kinds.index(each.kind), each.feed or "", each.file or "")))


def read_troubles(path: Path, inbox: str) -> tuple[Trouble, ...]:
    """Read what is open, severe ones first; nothing where the file is missing or broken."""
    return ordered(trouble for entry in _read(path) if (trouble := _trouble(inbox, entry)) is not None)


def save_troubles(path: Path, troubles: Iterable[Trouble]) -> None:
    """Write what is open, in one step, where it differs from what was; the caller holds the inbox. Raises OSError."""
    plain = [{**asdict(each), "since": each.since.isoformat()} for each in ordered(troubles)]
    if plain == _read(path):
        # What a pass was writing that was killed, or found the disk full.
        draft_of(path).unlink(missing_ok=True)
        return
    replace_file(path, json.dumps(plain, ensure_ascii=False, indent=1).encode())


def _read(path: Path) -> list[Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return kept if isinstance(kept, list) else []


def _trouble(inbox: str, entry: Any) -> Trouble | None:
    """Return None of what a later version has written and this one does not know."""
    try:
        values = {name: entry[name] for name in ("feed", "file", "kind", "reason", "without_data", "advice")}
        if values["kind"] not in get_args(TroubleKind):
            return None
        return Trouble(inbox=inbox, since=datetime.fromisoformat(entry["since"]), **values)
    except (KeyError, TypeError, ValueError):
        return None
