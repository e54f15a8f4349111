"""All places of a project, one after the other: first those that others are made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dinmo_pipeline.erasure.inboxes import InboxTexts
from dinmo_pipeline.erasure.person import SHORTEST_WORD, Person
from dinmo_pipeline.erasure.receipt import Place, Receipt
from dinmo_pipeline.erasure.snapshots import Snapshots
from dinmo_pipeline.erasure.staging import Staging
from dinmo_pipeline.erasure.tables import Tables
from dinmo_pipeline.erasure.texts import AlertTexts
from dinmo_pipeline.erasure.undefined import Undefined
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.project.specs import Project


def forget_person(project: Project, person: Person, *, dry_run: bool, more: Sequence[tuple[str, Place]] = ()) -> Iterator[Receipt]:
    """Take the person out of every place, and of `more`, each with its name; or only tell what would be.

    A place that cannot be emptied says so in its receipt and keeps no other from it. Raises DinmoError when the warehouse cannot be opened:
    whether a source still has the person is known from it.
    """
    tables = Tables(project)
    yield from tables.forget(person, dry_run=dry_run)
    places: list[tuple[str, Place]] = []
    for name, spec in project.activations.items():
        places.append((f"activation {name}", Snapshots(project, spec, "; ".join(tables.reasons(spec.source)))))
    places += [(f"inbox {name}", InboxTexts(project, name)) for name in project.inboxes]
    places += [("snapshots of activations that are defined no more", Undefined(project))]
    places += [("working folders", Staging(project)), ("alert states", AlertTexts(project))]
    for name, place in (*places, *more):
        # All of a place first: it holds a lock, and showing them may wait for a terminal.
        receipts = []
        try:
            for receipt in place.forget(person, dry_run=dry_run):
                receipts.append(receipt)
        except DinmoError as error:
            receipts.append(Receipt("failed", name, 0, "", f"{error}. Then forget again"))
        yield from receipts
    for description in person.descriptions:
        if description not in person.fitting:
            left = "no table and no snapshot has such columns, so nothing was looked for: see how they are called"
            yield Receipt("description", description.columns, 0, "", left)
        if any(len(value.strip()) < SHORTEST_WORD for _, value in description.values):
            left = f"a value of fewer than {SHORTEST_WORD} characters is not looked for in texts: rejects, reasons, Dagster's events"
            yield Receipt("description", description.columns, 0, left)
