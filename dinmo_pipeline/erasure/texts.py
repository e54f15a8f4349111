"""Small files of this machine that say in words what is open: a value of the person that they quote is emptied."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinmo_pipeline.alerts.alert_state import AlertStateFile
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.specs import Project

# Names that the product goes by; what it calls a file is no value of a row.
_NAMES = frozenset({"inbox", "feed", "file", "path", "key", "mark"})


@dataclass(frozen=True)
class Standings:
    """Why the last attempts of activations, inboxes and feeds failed, and what people were told of it."""

    project: Project

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Empty the texts that quote a value of the person."""
        # Also of those that are defined no more.
        for path in sorted(self.project.home.rglob("standing.json")) if person.words else ():
            alert_state = AlertStateFile(path.parent)
            found = self._empty(alert_state, person, dry_run=dry_run)
            if found:
                yield Receipt("texts", str(alert_state.path), found, "would be emptied" if dry_run else "emptied")

    def _empty(self, alert_state: AlertStateFile, person: Person, *, dry_run: bool) -> int:
        # Held, so that nobody else writes it meanwhile.
        with alert_state.changed():
            return empty_json(alert_state.path, person, dry_run=dry_run)


def empty_json(path: Path, person: Person, *, dry_run: bool) -> int:
    """Empty the texts of a JSON file that quote a value of the person; how many there are. Whoever writes it is kept from it meanwhile."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # What makes no sense is begun anew by whoever reads it next.
        return 0
    found = sum(person.mentions(text) for text in _texts(kept))
    if found and not dry_run:
        draft = path.with_name(path.name + ".draft")
        try:
            descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(_emptied(kept, person), stream, ensure_ascii=False, indent=1)
            draft.replace(path)
        except OSError as error:
            raise StateError(f"writing {path}: {error.strerror}; mend the folder") from error
    return found


def _texts(kept: Any) -> Iterator[str]:
    if isinstance(kept, str):
        yield kept
    elif isinstance(kept, list):
        for each in kept:
            yield from _texts(each)
    elif isinstance(kept, dict):
        for name, each in kept.items():
            yield from () if name in _NAMES else _texts(each)


def _emptied(kept: Any, person: Person) -> Any:
    if isinstance(kept, str):
        return person.emptied(kept)
    if isinstance(kept, list):
        return [_emptied(each, person) for each in kept]
    if isinstance(kept, dict):
        return {name: each if name in _NAMES else _emptied(each, person) for name, each in kept.items()}
    return kept
