"""From a document to a definition: its component's fields, checked by themselves.

A definition with faults is kept with the fields that are fine, so that every other check still runs and all errors show at once.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Optional, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.project.consumers.consumers import with_options_for
from dinmo_pipeline.project.inbound_specs import feed_name
from dinmo_pipeline.project.schema.field_types import name_problem
from dinmo_pipeline.project.schema.inbound import FeedFields, InboxFields
from dinmo_pipeline.project.schema.outbound import ActivationFields, ModelFields, NotifyFields, SegmentFields
from dinmo_pipeline.project.yaml.documents import PACKAGE, Document
from dinmo_pipeline.project.yaml.messages import problem_of
from dinmo_pipeline.storages import STORAGES
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.suggestions import nearest_hint

TABLES_AND_ACTIVATIONS: dict[str, type[BaseModel]] = {"Model": ModelFields, "Segment": SegmentFields, "Activation": ActivationFields}
INBOUND: dict[str, type[BaseModel]] = {"Inbox": InboxFields, "Feed": FeedFields}
COMPONENT_FIELDS: dict[str, type[BaseModel]] = {**TABLES_AND_ACTIVATIONS, **INBOUND, "Notify": NotifyFields, **STORAGES}
_ENVELOPE = ("type", "attributes", "requirements", "post_processing", "template_vars_module")
_ATTRIBUTES = "attributes"
_OF_ITS_OWN = {"feed": "another source or subsection"}

F = TypeVar("F", bound=BaseModel, covariant=True)
N = TypeVar("N", bound=BaseModel)


@dataclass(frozen=True)
class Definition(Generic[F]):
    """One definition. `bad` are the fields that are wrong or missing; those have no meaning in `fields`."""

    component: str
    name: str | None
    fields: F
    bad: frozenset[str]
    document: Document

    @property
    def subject(self) -> str:
        """What messages call it: `Activation lapsed`."""
        return f"{self.component} {self.name}" if self.name else self.component

    def fine(self, *names: str) -> bool:
        """Return whether none of these fields has a fault of its own that has been reported already."""
        return self.bad.isdisjoint(names)

    def problem(self, path: str | tuple[str | int, ...], message: str, *, at_key: bool = False) -> Problem:
        """Return a Problem at the field `path`; at the definition itself when that is not written."""
        steps = (path,) if isinstance(path, str) else path
        return self.document.problem((_ATTRIBUTES, *steps), f"{self.subject}: {message}", at_key=at_key)


@dataclass(frozen=True)
class Definitions:
    """All definitions by kind, in the order they were found, and the first of each name."""

    models: tuple[Definition[ModelFields], ...]
    segments: tuple[Definition[SegmentFields], ...]
    activations: tuple[Definition[ActivationFields], ...]
    storages: tuple[Definition[StorageSpec], ...]
    inboxes: tuple[Definition[InboxFields], ...]
    feeds: tuple[Definition[FeedFields], ...]
    notifications: tuple[Definition[NotifyFields], ...]

    def __len__(self) -> int:
        return sum(len(getattr(self, kind.name)) for kind in dataclasses.fields(self))


def by_name(definitions: Iterable[Definition[F]]) -> dict[str, Definition[F]]:
    """Return the first definition of each name."""
    found: dict[str, Definition[F]] = {}
    for definition in definitions:
        if definition.name is not None:
            found.setdefault(definition.name, definition)
    return found


def definition_name(component: str, attributes: Mapping[str, Any]) -> str | None:
    """Return what the definition is called: its `name`; a feed has that of its files and its table. None where that is not told."""
    if component != "Feed":
        name = attributes.get("name")
        return name if isinstance(name, str) else None
    entity, source, subsection = (attributes.get(field) for field in ("entity", "source", "subsection"))
    if isinstance(entity, str) and isinstance(source, str) and isinstance(subsection, str | None):
        return feed_name(entity, source, subsection)
    return None


def read_definitions(documents: Iterable[Document]) -> tuple[Definitions, list[Problem]]:
    """Return the definitions of this package among `documents`, and what is wrong with each of them by itself."""
    problems: list[Problem] = []
    found: list[Definition[Any]] = []
    for document in documents:
        component = _component(document, problems)
        if component is not None:
            found.append(_read_definition(document, component, problems))
    kinds: dict[str, list[Definition[Any]]] = {
        kind: [] for kind in ("Model", "Segment", "Activation", "storage", "Inbox", "Feed", "Notify")
    }
    for definition in found:
        kinds.get(definition.component, kinds["storage"]).append(definition)
    for kind, definitions in kinds.items():
        problems += _repeated_names(kind.lower(), definitions)
    return Definitions(*(tuple(kinds[kind]) for kind in kinds)), problems


def read_format(definition: Definition[ActivationFields]) -> tuple[Format | None, list[Problem]]:
    """Return the format of an activation, with the options that serve its consumer, or what is wrong with its options."""
    if not definition.fine("format"):
        return None, []
    options = with_options_for(definition.fields.consumer if definition.fine("consumer") else None, definition.fields.format)
    kind = options.get("type")
    place = ("format", "type") if (_ATTRIBUTES, "format", "type") in definition.document.spots else ("format",)
    if not isinstance(kind, str) or kind not in FORMATS:
        if kind is None:
            return None, [definition.problem("format", "'format.type' is missing", at_key=True)]
        return None, [definition.problem(place, f"format: unknown format {str(kind)!r}{nearest_hint(str(kind), FORMATS)}")]
    return read_nested(definition, ("format",), options, FORMATS[kind])


def read_nested(definition: Definition[Any], path: tuple[str, ...], value: Any, model: type[N]) -> tuple[N | None, list[Problem]]:
    """Return the value at the field `path` as a model of its own, or what is wrong with it."""
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [
            problem_of(
                detail, document=definition.document, base=(_ATTRIBUTES, *path), value=value, model=model, subject=definition.subject
            )
            for detail in error.errors(include_url=False)
        ]


def _component(document: Document, problems: list[Problem]) -> str | None:
    kind = document.content.get("type")
    known = {f"{PACKAGE}.{name}": name for name in COMPONENT_FIELDS}
    if kind is None:
        problems.append(Problem(document.file, document.line, f"the definition has no type{nearest_hint('', known)}"))
        return None
    if not isinstance(kind, str):
        problems.append(document.problem(("type",), f"the type is no text{nearest_hint('', known)}"))
        return None
    package, _, name = kind.rpartition(".")
    if kind in known:
        return known[kind]
    ours = package.partition(".")[0] == PACKAGE
    alike = difflib.SequenceMatcher(None, package.lower(), PACKAGE).ratio() > 0.8
    # Without a package it is no component of anybody: skipped, it would never be delivered, and nobody would learn of it.
    misspelt = not package or (alike and name.lower() in {each.lower() for each in known.values()})
    if ours or misspelt:
        hint = nearest_hint(kind if package else f"{PACKAGE}.{kind}", known)
        problems.append(document.problem(("type",), f"unknown type {kind!r}{hint}"))
    return None


def _read_definition(document: Document, component: str, problems: list[Problem]) -> Definition[Any]:
    model = COMPONENT_FIELDS[component]
    for key in document.content:
        if key not in _ENVELOPE:
            belongs = "; it belongs under `attributes:`, indented" if key in model.model_fields else nearest_hint(key, _ENVELOPE)
            problems.append(document.problem((key,), f"{component}: unknown field {key!r} beside `type:`{belongs}", at_key=True))
    attributes = document.content.get(_ATTRIBUTES)
    if not isinstance(attributes, Mapping):
        found = "is missing" if attributes is None else "is no mapping"
        first = next(iter(model.model_fields))
        message = f"{component}: 'attributes' {found}; it holds the fields, beginning with `{first}:`"
        problems.append(document.problem((_ATTRIBUTES,), message))
        return Definition(component, None, _partial(model)(), frozenset(model.model_fields), document)
    name = definition_name(component, attributes)
    subject = f"{component} {name}" if name else component
    bad: set[str] = set()
    try:
        fields = model.model_validate(attributes)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            bad.add(str(detail["loc"][0]) if detail["loc"] else "")
            problems.append(problem_of(detail, document=document, base=(_ATTRIBUTES,), value=attributes, model=model, subject=subject))
        fields = _partial(model).model_validate({key: value for key, value in attributes.items() if key not in bad})
    if component in STORAGES and name is not None and (problem := name_problem(name)) is not None:
        bad.add("name")
        problems.append(document.problem((_ATTRIBUTES, "name"), f"{subject}: name: {problem}"))
    return Definition(component, name, fields, frozenset(bad), document)


@lru_cache
def _partial(model: type[BaseModel]) -> type[BaseModel]:
    """Return the same fields with nothing required and no rule between them: what is left of a definition whose faults are reported."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        annotation = info.rebuild_annotation()
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        fields[name] = (Optional[annotation], default)  # noqa: UP045 (the annotation is a value here)
    return create_model(f"Partial{model.__name__}", __config__=ConfigDict(strict=True, frozen=True, extra="ignore"), **fields)


def _repeated_names(kind: str, definitions: Iterable[Definition[Any]]) -> list[Problem]:
    first: dict[str, Definition[Any]] = {}
    problems = []
    for definition in definitions:
        name = definition.name
        if name is None:
            continue
        if name in first:
            other = first[name].document
            place = f"{other.file}:{other.line_of((_ATTRIBUTES, 'name'))}"
            own = _OF_ITS_OWN.get(kind, "a name of its own")
            problems.append(definition.problem("name", f"the name is taken by another {kind}, in {place}; give this one {own}"))
        else:
            first[name] = definition
    return problems
