"""Types that the fields of several definitions have: names, texts, limits, owners, tags; each says what is wrong with a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo
from pydantic_core import PydanticCustomError

from dinmo_pipeline.durations import duration_problem, every_problem
from dinmo_pipeline.project.cron import cron_problem
from dinmo_pipeline.project.schema.limits import Measure, limit_example, parse_limit
from dinmo_pipeline.project.settings import timezone_problem
from dinmo_pipeline.sql.quoting import folded

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# The forms that Dagster takes; it would stop at others with one error at a time and no line.
_OWNER = re.compile(r"team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Z|a-z]{2,7}")
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")


def check_text(text: str, good: bool, message: str) -> str:
    """Return `text`, or where it is not good an error with this message; for use in validators."""
    if not good:
        raise PydanticCustomError("dinmo", "{message}", {"message": message})
    return text


def name_problem(name: str) -> str | None:
    """Return why `name` cannot be the name of a definition, or None."""
    if _NAME.fullmatch(name):
        return None
    return f"{name!r} is no name; write small letters, digits and _, a letter first"


def _name(text: str) -> str:
    return check_text(text, (problem := name_problem(text)) is None, problem or "")


def cron(text: str) -> str:
    """Return the cron expression, or an error where it is none."""
    return check_text(text, (problem := cron_problem(text)) is None, problem or "")


def every(text: str) -> str:
    """Return the interval, or an error where it is none."""
    return check_text(text, (problem := every_problem(text)) is None, problem or "")


def duration(text: str) -> str:
    """Return the span of time, or an error where it is none."""
    return check_text(text, (problem := duration_problem(text)) is None, problem or "")


def _timezone(text: str) -> str:
    return check_text(text, (problem := timezone_problem(text)) is None, problem or "")


def _owner(text: str) -> str:
    return check_text(text, bool(_OWNER.fullmatch(text)), f"{text!r} is no owner; write an e-mail address or team:name")


def asset_key(text: str) -> str:
    """Return the asset's key as text, or an error where it is none."""
    return check_text(text, all(text.split("/")), f"{text!r} is no asset key; write its parts with one / between them")


def different(columns: list[str]) -> list[str]:
    """Return the names, or an error where two are one; for use in validators."""
    seen: set[str] = set()
    for column in columns:
        check_text(column, folded(column) not in seen, f"{column!r} is repeated; columns that differ by case alone are one")
        seen.add(folded(column))
    return columns


def _tags(tags: dict[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        good = bool(_TAG_KEY.fullmatch(key) and _TAG_VALUE.fullmatch(value))
        check_text(key, good, f"{key!r}: {value!r} is no tag; keys and values take letters, digits, _ - . and at most 63 of them")
    return tags


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _in_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _limit(value: Any, info: ValidationInfo) -> str:
    measure = Measure(info.field_name or "")
    good = isinstance(value, str) and parse_limit(measure, value) is not None
    return check_text(str(value), good, f"{str(value)!r} is no limit of {measure}; write one such as {limit_example(measure)}")


def typed(value: Any) -> Any:
    """Return a mapping whose `type` a lone text is; for use in validators."""
    return {"type": value} if isinstance(value, str) else value


def _mapping_shape(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return "renamed"
    return "kept" if isinstance(value, list) else "all" if value == "*" else None


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(min_length=1)]
Timezone = Annotated[str, AfterValidator(_timezone)]
TextOrList = BeforeValidator(_listed, json_schema_input_type=str | list[str])
Limits = Annotated[
    list[Annotated[str, BeforeValidator(_limit, json_schema_input_type=str)]],
    BeforeValidator(_in_list, json_schema_input_type=str | list[str]),
]
Owners = Annotated[
    Annotated[list[Annotated[str, AfterValidator(_owner)]], TextOrList],
    Field(default_factory=list, description="Who answers for it: e-mail addresses or team:name; none by default."),
]
Tags = Annotated[
    Annotated[dict[str, str], AfterValidator(_tags)], Field(default_factory=dict, description="Labels for Dagster's UI; none by default.")
]
Description = Annotated[str | None, Field(default=None, description="What it is for, in words; Markdown shows in Dagster's UI.")]
ColumnMapping = Annotated[
    Annotated[dict[Text, Text], Field(min_length=1), Tag("renamed")]
    | Annotated[list[Text], Field(min_length=1), Tag("kept")]
    | Annotated[Literal["*"], Tag("all")],
    Discriminator(
        _mapping_shape,
        custom_error_type="dinmo",
        custom_error_message='expected {attribute: name in the file}, a list of attributes, or "*" for all of them',
    ),
]


class Fields(BaseModel):
    """The attributes of one definition, as the user wrote them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
