"""Who is told of failures and warnings: checked, and their specs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.notify import CHANNELS
from dinmo_pipeline.project.schema.definitions import Definition, Definitions
from dinmo_pipeline.project.schema.outbound import NotifyFields
from dinmo_pipeline.project.specs import NotifySpec
from dinmo_pipeline.suggestions import nearest_hint


def read_notifications(definitions: Definitions) -> tuple[dict[str, NotifySpec], list[Problem]]:
    """Return the specs by name, complete only where there is no problem."""
    kinds = (definitions.activations, definitions.inboxes, definitions.feeds)
    known = [definition.name for kind in kinds for definition in kind if definition.name is not None]
    specs: dict[str, NotifySpec] = {}
    problems: list[Problem] = []
    for definition in definitions.notifications:
        found = list(_problems(definition, known))
        problems += found
        fields = definition.fields
        channel = fields.slack or fields.email or fields.webhook
        if not found and not definition.bad and channel is not None:
            specs[fields.name] = NotifySpec(fields.name, channel, fields.level, tuple(fields.only))
    return specs, problems


def _problems(definition: Definition[NotifyFields], known: Collection[str]) -> Iterator[Problem]:
    fields = definition.fields
    if definition.fine(*CHANNELS):
        given = [name for name in CHANNELS if getattr(fields, name) is not None]
        if len(given) > 1:
            message = f"{given[0]!r} and {given[1]!r} exclude each other; keep one, and write another Notify for the other"
            yield definition.problem(given[1], message, at_key=True)
        elif not given:
            yield definition.problem((), "it needs 'slack', 'email' or 'webhook': how people are told", at_key=True)
    if definition.fine("email") and fields.email is not None and (fields.email.username is None) != (fields.email.password is None):
        present, missing = ("username", "password") if fields.email.password is None else ("password", "username")
        yield definition.problem(("email", present), f"email: {present} needs {missing}, too", at_key=True)
    if definition.fine("only"):
        for index, name in enumerate(fields.only):
            if name not in known:
                message = f"only: there is no activation, inbox or feed {name!r}{nearest_hint(name, known)}"
                yield definition.problem(("only", index), message)
