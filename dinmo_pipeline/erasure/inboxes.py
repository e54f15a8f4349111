"""What was written beside the files of an inbox, on its storage, and this machine's memory of it: lines and texts of the person emptied."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from dinmo_pipeline.erasure.person import EMPTIED, Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.texts import forget_json
from dinmo_pipeline.errors import DataError, DinmoError, StorageError
from dinmo_pipeline.formats.csv.formulas import restored
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.inbox.free_names import REJECTS_ENDING
from dinmo_pipeline.local_files.scratch import new_file
from dinmo_pipeline.project.specs import Project

_MOST_REASON_BYTES = 1_000_000
_NUMBERS = ("line", "column")
# Ours have five, and beside the record some thousand characters.
_MOST_COLUMNS, _MOST_BESIDE = 20, 10_000
# What others sent is quoted there, and others may have changed it since: any bytes come back as they were.
_ANY_BYTES = "surrogateescape"


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
            folder = self.project.home / "inbound" / self.inbox
            for memory in (folder / "troubles.json", folder / "looks.json"):
                yield from forget_json(memory, person, dry_run=dry_run)
            for path in held.written_beside():
                yield from self._forget_beside(held, path, person, dry_run=dry_run)

    def _forget_beside(self, held: InboxPass, path: str, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        place = f"inbox {self.inbox}: {path}"
        # A quote in a record is written twice; beside the record stand a part of a value and why it was rejected.
        most = 2 * self.project.limits.record_bytes + _MOST_BESIDE
        empty = partial(_empty_rejects, most=most) if path.endswith(REJECTS_ENDING) else _empty_reason
        change = partial(empty, person, dry_run=dry_run)
        try:
            found = held.edit(path, change)
        except (DinmoError, csv.Error) as error:
            if isinstance(error, StorageError):
                held.require_storage(error)
            yield Receipt("failed", place, 0, "", f"{error}. Then forget again")
            return
        if found:
            yield Receipt("lines", place, found, "would be emptied" if dry_run else "emptied")


def _empty_rejects(person: Person, local_path: Path, *, most: int, dry_run: bool) -> int:
    """Empty what the lines of the person quote; how many there are. Their numbers stay, so that the others can be counted.

    DataError where a line or a field has more than `most` characters, or a line very many fields: others may write to the folder, and no
    file of ours has one.
    """
    csv.field_size_limit(most)
    draft = local_path.with_name(f"{local_path.name}.draft")
    found = 0
    with new_file(draft):
        with (
            local_path.open(encoding="utf-8", errors=_ANY_BYTES, newline="") as stream,
            draft.open("w", encoding="utf-8", errors=_ANY_BYTES, newline="") as emptied,
        ):
            lines, writer = csv.reader(_bounded_lines(stream, most)), csv.writer(emptied)
            header = _narrow(next(lines, []))
            writer.writerow(header)
            for line in lines:
                _narrow(line)
                quoted = [index for index in range(len(line)) if index >= len(header) or header[index] not in _NUMBERS]
                if any(person.mentioned(restored(line[index])) for index in quoted):
                    found += 1
                    for index in quoted:
                        line[index] = EMPTIED if index < len(header) and header[index] == "reason" else ""
                writer.writerow(line)
        if found and not dry_run:
            draft.replace(local_path)
        else:
            draft.unlink()
    return found


def _bounded_lines(stream: TextIO, most: int) -> Iterator[str]:
    while line := stream.readline(most + 1):
        if len(line) > most:
            raise DataError(f"it has a line of more than {most:,} characters, as no version of this product writes one: see who changed it")
        yield line


def _narrow(line: list[str]) -> list[str]:
    if len(line) > _MOST_COLUMNS:
        raise DataError(f"it has a line of {len(line):,} fields, as no version of this product writes one: see who changed it")
    return line


def _empty_reason(person: Person, local_path: Path, *, dry_run: bool) -> int:
    size = local_path.stat().st_size
    if size > _MOST_REASON_BYTES:
        raise DataError(f"it has {size:,} bytes, as no version of this product writes it: see who changed it")
    with local_path.open(encoding="utf-8", errors=_ANY_BYTES, newline="") as stream:
        text = stream.read()
    if not person.mentions(text):
        return 0
    if not dry_run:
        with local_path.open("w", encoding="utf-8", errors=_ANY_BYTES, newline="") as stream:
            stream.write(person.emptied(text))
    return 1
