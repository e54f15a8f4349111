"""Writes `docs/reference.md` from the code: `python -m dinmo_pipeline_tests.reference`. A test holds that it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from inspect import isclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dinmo_pipeline.cli.app import app
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.intake_limits import limit_words
from dinmo_pipeline.project.consumers.consumers import CONSUMERS
from dinmo_pipeline.project.consumers.limits import value_text
from dinmo_pipeline.project.schema.definitions import COMPONENT_FIELDS
from dinmo_pipeline.project.schema.inbound import ColumnFields
from dinmo_pipeline.project.settings import OPTIONS
from dinmo_pipeline.secrets import Secret

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

_INTRO = """\
# Reference

Every component, option, command, setting and variable. This page is written from the code (`python -m dinmo_pipeline_tests.reference`),
so it is never behind it. [destinations.md](destinations.md) explains the storages, [delta-rules.md](delta-rules.md) what a delta is.

Definitions are YAML, several documents a file called `defs.yaml`, in any folder below `defs/`:
`type: dinmo_pipeline.<component>`, and below
`attributes:` the fields of the tables here. A field whose default is `required` must be written.
"""

_LIMITS = """\
What servers and files of others may take of this machine, below `[tool.dinmo.limits]`. What breaks one is refused, with the number and
the name of the limit, and keeps no other file out. How long a login may take is a storage's `connect_timeout`; of a file on a server no
more is read than one byte beyond the size that its listing tells.
"""

VARIABLES = {
    "DINMO_HOME": "Where warehouse, state and Dagster's storage are; `.dinmo` in the project by default.",
    "DINMO_STATE_URL": "Where the syncs' logs and snapshots are, if not in `DINMO_HOME`: see [state.md](state.md).",
    "DINMO_STATE_KEY": "A key, 32 characters or more: only log entries that were written with it count ([state.md](state.md#a-key)).",
    "DINMO_REQUIRE_STATE": "`1` refuses an address without state until `dinmo state init`, so that a lost volume resends nothing.",
    "DINMO_REDIRECT": "The name of a storage that gets every delivery in place of its own destination; no base is moved.",
    "DINMO_UMASK": "The rights that what a `LocalFolder` delivers does not get, such as `0027`; the umask of whoever starts it by default.",
    "DINMO_AUTOSTART": "`1` has schedules run from the start; else a person starts each in the UI.",
    "DINMO_USER": "Who gives a command, for the history of approvals, dismissals and baselines; the user and host by default.",
    "DINMO_UI_URL": "The address at which people reach the UI, such as `https://dagster.shop.example`: messages link there.",
    "DAGSTER_HOME": "Where Dagster keeps its runs, if not in `DINMO_HOME`; absolute.",
}

_COMPONENT_WORDS = {
    "Model": "A table made by a query. It runs in DuckDB and names other models and segments as `models.x` and `segments.y`.",
    "Segment": "Some rows of a model, with the model's primary key.",
    "Inbox": "A folder that others drop files into: `raw` for every day, `init` for the first load; what is done with goes to `imports`.",
    "Notify": "Who is told when an activation, an inbox or a feed fails, is blocked or late, or is well again ([guards.md](guards.md)).",
    "Activation": "One delivery, repeated: of a model or a segment, to a storage, as files.",
}


def render() -> str:
    """The whole page."""
    return "\n".join([_INTRO, *_components(), *_columns(), *_formats(), *_consumers(), *_commands(), *_settings(), *_variables()])


def commands() -> dict[str, Any]:
    """The commands of `dinmo` as click knows them, those of a group by both names: `state init`."""
    return dict(_commands_of(typer.main.get_command(app), ""))


def _commands_of(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands_of(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def options(command: Any) -> dict[str, Any]:
    """The options of a command by their long names."""
    return {name: option for option in command.params for name in option.opts if name.startswith("--")}


def _components() -> Iterator[str]:
    yield "## Components\n"
    for name, model in COMPONENT_FIELDS.items():
        yield f"### {name}\n"
        yield f"{_COMPONENT_WORDS.get(name) or _sentence(model.__doc__ or '')}\n"
        yield from _table("field", model)
        yield from _nested(name, model)


def _nested(component: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        for inner in get_args(field.annotation) or (field.annotation,):
            if isclass(inner) and issubclass(inner, BaseModel) and inner is not Secret:
                yield f"#### {component}: `{name}`\n"
                yield f"{_sentence(inner.__doc__ or '')}\n"
                yield from _table("field", inner)


def _columns() -> Iterator[str]:
    yield "## Columns of a feed\n"
    yield "In a Feed's `columns` each is a type alone, or a mapping:\n"
    yield from _table("option", ColumnFields)


def _formats() -> Iterator[str]:
    yield "## Formats\n"
    yield 'An activation\'s `format` is one of these names, or a mapping: `{type: csv, delimiter: ";"}`.\n'
    for name, model in FORMATS.items():
        yield f"### {name}\n"
        yield f"{_sentence(model.__doc__ or '')}\n"
        yield from _table("option", model, leave_out=("type",))


def _consumers() -> Iterator[str]:
    yield "## Consumers\n"
    yield "An activation's `consumer` sets these options of its format where the format's block does not say otherwise.\n"
    yield "| consumer | sets | `dinmo check` warns of |\n|---|---|---|"
    for name, reader in CONSUMERS.items():
        alike: dict[str, list[str]] = {}
        for form, chosen in reader.options.items():
            alike.setdefault(", ".join(f"`{option}: {value_text(value)}`" for option, value in chosen.items()), []).append(form)
        sets = "; ".join(f"{', '.join(forms)}: {options}" for options, forms in alike.items())
        yield f"| `{name}` | {sets or 'nothing'} | {'; '.join(limit.shown for limit in reader.limits)} |"
    yield ""


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Each ends with 0 when all went well, 1 when the work failed, 2 when the definitions or the call are wrong.\n"
    yield "| command | what it does |\n|---|---|"
    for name, command in commands().items():
        named = [(each.metavar or str(each.name), each.required) for each in command.params if not each.opts[0].startswith("-")]
        arguments = "".join(f" {word}" if needed or word.endswith("…") else f" [{word}]" for word, needed in named)
        yield f"| `dinmo {name}{arguments}` | {_cell(command.help)} |"
        for option, each in options(command).items():
            value = "" if each.is_flag else f" {each.metavar or each.name.upper()}"
            yield f"| &nbsp; `{option}{value}` | {_cell(each.help)} |"
    yield ""


def _settings() -> Iterator[str]:
    yield "## Settings of a project\n"
    yield "`pyproject.toml`, below `[tool.dinmo]`:\n"
    yield "| setting | what it says |\n|---|---|"
    yield from (f"| `{name}` | {words} |" for name, words in OPTIONS.items())
    yield ""
    yield "### Limits of what others send\n"
    yield _LIMITS
    yield "| limit | default | what it counts |\n|---|---|---|"
    yield from (f"| `{name}` | {default:,} | {words} |" for name, default, words in limit_words())
    yield ""


def _variables() -> Iterator[str]:
    yield "## Environment variables\n"
    yield "| variable | what it does |\n|---|---|"
    yield from (f"| `{name}` | {words} |" for name, words in VARIABLES.items())
    yield ""


def _table(head: str, model: type[BaseModel], *, leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    yield f"| {head} | default | what it says |\n|---|---|---|"
    for name, field in model.model_fields.items():
        if name not in leave_out:
            name = field.alias or name
            words = field.description or {"name": "Small letters, digits and _; activations name the storage by it."}[name]
            yield f"| `{name}` | {_default(field)} | {_cell(words)}{_values(field)} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    text = value if isinstance(value, str) and value else json.dumps(value)
    return "`" + text.replace("\n", "\\n").replace("\t", "\\t") + "`"


def _values(field: FieldInfo) -> str:
    found = [value for kind in _kinds(field.annotation) for value in get_args(kind) if isinstance(value, str)]
    shown = [f"`{value}`".replace("\n", "\\n").replace("\r", "\\r") for value in found]
    return f" One of {', '.join(shown)}." if len(shown) > 1 else ""


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _kinds(part)


def _sentence(text: str) -> str:
    return re.sub(r"\s+", " ", text.partition("\n\n")[0]).strip()


def _cell(text: str | None) -> str:
    assert text, "every field, option and command says what it is"
    return _sentence(text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
