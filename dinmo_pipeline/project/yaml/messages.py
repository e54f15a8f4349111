"""pydantic's errors, put into words for the author of a definition: what is wrong, with what value, what is valid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.yaml.documents import Document, KeyPath
from dinmo_pipeline.suggestions import nearest_hint

_QUOTED = re.compile(r"'([^']*)'")
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}


def problem_of(error: ErrorDetails, *, document: Document, base: KeyPath, value: Any, model: type[BaseModel], subject: str) -> Problem:
    """Return an error of validating `value`, at `base` in `document`, against `model` as a Problem that starts with `subject`."""
    path = _real_path(error["loc"], value)
    label = ".".join(map(str, (*base[1:], *path)))
    kind = error["type"]
    if kind == "missing":
        missing = ".".join(map(str, (*base[1:], *error["loc"])))
        return document.problem((*base, *path), f"{subject}: {missing!r} is missing", at_key=True)
    if kind == "extra_forbidden":
        message = f"{subject}: unknown field {label!r}{nearest_hint(str(path[-1]), _written_names(_innermost(model, path[:-1])))}"
        return document.problem((*base, *path), message, at_key=True)
    raw = _found(document, (*base, *path), error["input"])
    wording = _WORDINGS.get(kind, _other)(error, raw)
    return document.problem((*base, *path), f"{subject}: {label}: {wording}" if label else f"{subject}: {wording}")


def _innermost(model: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """Return the model of the field at `path`, as far as models go."""
    for step in path:
        field = model.model_fields.get(str(step))
        inside = [kind for kind in _parts(field.annotation) if isclass(kind) and issubclass(kind, BaseModel)] if field is not None else []
        if not inside:
            break
        model = inside[0]
    return model


def _written_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def _real_path(loc: tuple[int | str, ...], value: Any) -> KeyPath:
    # A union adds the tag of its branch to the place; what is not in the document is left out.
    path: list[str | int] = []
    step: Any
    for step in loc:
        if (isinstance(value, Mapping) and step in value) or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _found(document: Document, path: KeyPath, value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    spot = document.spots.get(path)
    raw = spot.raw if spot is not None and spot.raw is not None else str(value)
    return "nothing" if value is None and not raw else repr(raw)


def _wrong_type(error: ErrorDetails, found: str) -> str:
    expected = _EXPECTED[error["type"]]
    hint = ""
    if expected == "text" and isinstance(error["input"], bool | int | float):
        hint = ", which YAML takes for a " + ("truth value" if isinstance(error["input"], bool) else "number") + "; put it in quotes"
    elif expected == "text" and isinstance(error["input"], Mapping | list):
        hint = f"; a text that begins with {'{' if isinstance(error['input'], Mapping) else '['} stands in quotes"
        if isinstance(error["input"], Mapping) and not any(error["input"].values()):
            hint += f': "{{{", ".join(error["input"])}}}"'
    elif found.strip("'").lower() == "null":
        hint = ", which YAML takes for nothing; put it in quotes"
    elif expected != "text" and isinstance(error["input"], str):
        hint = " (text)"
    return f"expected {expected}, found {found}{hint}"


def _unknown_value(error: ErrorDetails, found: str) -> str:
    valid = _QUOTED.findall(error["ctx"]["expected"])
    return f"unknown value {found}{nearest_hint(str(error['input']), valid)}"


def _too_short(error: ErrorDetails, found: str) -> str:
    return "it is empty, and needs a text" if error["type"] == "string_too_short" else "it is empty; write at least one"


def _too_small(error: ErrorDetails, found: str) -> str:
    return f"{found} is less than {error['ctx']['ge']}, the least it can be"


def _other(error: ErrorDetails, found: str) -> str:
    return error["msg"].removeprefix("Value error, ")


_WORDINGS: dict[str, Callable[[ErrorDetails, str], str]] = {
    **dict.fromkeys(_EXPECTED, _wrong_type),
    "literal_error": _unknown_value,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "greater_than_equal": _too_small,
}
