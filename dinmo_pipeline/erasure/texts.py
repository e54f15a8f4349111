"""Small files of this machine that say in words what is open: a value of the person that they quote is emptied."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinmo_pipeline.alerts.alert_state import AlertStateFile
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.contents import draft_of, replace_file
from dinmo_pipeline.project.specs import Project

# What earlier versions wrote first, beside `standing.json`.
_EARLIER_DRAFT = "standing.draft"

# Names that the product goes by; what it calls a file is no value of a row.
_NAMES = frozenset({"inbox", "feed", "file", "path", "key", "mark"})


@dataclass(frozen=True)
class AlertTexts:
    """Why the last attempts of activations, inboxes and feeds failed, and what people were told of it."""

    project: Project

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Empty the texts that quote a value of the person."""
        # Also of those that are defined no more; `standing.lock` is there wherever one was ever written.
        kept = self.project.home.rglob("standing.*") if person.words else ()
        for folder in sorted({path.parent for path in kept}):
            alert_state = AlertStateFile(folder)
            # Held, so that no other process writes it meanwhile.
            with alert_state.changed():
                yield from forget_json(alert_state.path, person, dry_run=dry_run, drafts=(folder / _EARLIER_DRAFT,))


def forget_json(path: Path, person: Person, *, dry_run: bool, drafts: Iterable[Path] = ()) -> Iterator[Receipt]:
    """Empty a JSON file, and delete its draft and these. The caller keeps others from writing it meanwhile."""
    yield from _delete_drafts((*drafts, draft_of(path)), dry_run=dry_run)
    yield from _empty_json(path, person, dry_run=dry_run)


def _delete_drafts(drafts: Iterable[Path], *, dry_run: bool) -> Iterator[Receipt]:
    """Delete what a killed process was writing: it may quote the person, and nothing reads it."""
    for draft in drafts:
        if os.path.lexists(draft):
            if not dry_run:
                try:
                    draft.unlink(missing_ok=True)
                except OSError as error:
                    raise StateError(f"deleting {draft}: {error.strerror}; mend the folder") from error
            yield Receipt("draft", str(draft), 0, "would be deleted" if dry_run else "deleted")


def _empty_json(path: Path, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
    """Empty the texts of a JSON file that quote a value of the person."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # A file that makes no sense is begun anew by its next reader.
        return
    found = sum(person.mentions(text) for text in _texts(kept))
    if found and not dry_run:
        try:
            replace_file(path, json.dumps(_emptied(kept, person), ensure_ascii=False, indent=1).encode())
        except OSError as error:
            raise StateError(f"writing {path}: {error.strerror}; mend the folder") from error
    if found:
        yield Receipt("texts", str(path), found, "would be emptied" if dry_run else "emptied")


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
