"""What was written beside the files of an inbox, on its storage, and this machine's memory of it: lines and texts of the person emptied."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dinmo_pipeline.erasure.person import EMPTIED, Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.texts import empty_json
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.inbox.free_names import REJECTS_ENDING
from dinmo_pipeline.project.specs import Project

_QUOTED = ("value", "reason", "record")


@dataclass(frozen=True)
class InboxTexts:
    """One inbox. The files that others sent stay as they came: they are what was sent, and whose rows can be imported again."""

    project: Project
    inbox: str

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Empty the person's lines in rejects and reasons, and what is remembered of them."""
        if not person.words or not self.project.warehouse_path.exists():
            return
        # At its beginning it deletes what a killed pass had fetched.
        with InboxPass(self.project, self.inbox, wait_s=0) as held:
            for path in held.written_beside():
                change = partial(_empty_rejects if path.endswith(REJECTS_ENDING) else _empty_reason, person, dry_run=dry_run)
                if found := held.edit(path, change):
                    yield Receipt("lines", f"inbox {self.inbox}: {path}", found, "would be emptied" if dry_run else "emptied")
            folder = self.project.home / "inbound" / self.inbox
            for memory in (folder / "troubles.json", folder / "looks.json"):
                if found := empty_json(memory, person, dry_run=dry_run):
                    yield Receipt("texts", str(memory), found, "would be emptied" if dry_run else "emptied")


def _empty_rejects(person: Person, local_path: Path, *, dry_run: bool) -> int:
    """Empty what the lines of the person quote; how many there are. Their numbers stay, so that the others can be counted."""
    with local_path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    found = [line for line in lines if any(person.mentions(line.get(name) or "") for name in _QUOTED)]
    if found and not dry_run:
        for line in found:
            line.update(value="", reason=EMPTIED, record="")
        with local_path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    return len(found)


def _empty_reason(person: Person, local_path: Path, *, dry_run: bool) -> int:
    text = local_path.read_text(encoding="utf-8")
    if not person.mentions(text):
        return 0
    if not dry_run:
        local_path.write_text(person.emptied(text), encoding="utf-8")
    return 1
