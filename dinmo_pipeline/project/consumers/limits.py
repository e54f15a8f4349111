"""What a consumer does not read as it is meant: one kind of row of the table in `consumers`, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.project.specs import ActivationSpec

Options = Mapping[str, Any]
_SHOWN = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}


@dataclass(frozen=True)
class Limit:
    """What a consumer does not read as it is meant: an option of the format, or of the activation, and what goes wrong with it.

    It is one of `refused`, or none of `allowed`. `words` follow the consumer's title, and say what to write instead; `{value}` is what
    was found. None of `formats` means all of them.
    """

    option: str
    words: str
    refused: tuple[object, ...] = ()
    allowed: tuple[object, ...] | None = None
    formats: tuple[str, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """The field of the activation that it is about."""
        if self.option in ActivationSpec.__dataclass_fields__:
            return (self.option,)
        return ("format",) if self.option == "type" else ("format", self.option)

    @property
    def shown(self) -> str:
        """What it is about, for a page: `quoting: all`."""
        name = self.path[-1]
        refused = f"`{name}`: {', '.join(map(_quoted, self.refused))}"
        said = refused if self.allowed is None else f"`{name}` other than {' or '.join(map(_quoted, self.allowed))}"
        return said + (f" ({', '.join(self.formats)})" if self.formats else "")

    def broken_by(self, spec: ActivationSpec) -> object | None:
        """Give the value that the consumer does not read, or None."""
        holder: object = spec.format if self.path[0] == "format" else spec
        if (self.formats and spec.format.type not in self.formats) or not hasattr(holder, self.option):
            return None
        value: object = getattr(holder, self.option)
        broken = value in self.refused if self.allowed is None else value not in self.allowed
        return value if broken else None


@dataclass(frozen=True)
class Reader:
    """A consumer: what people call it, the options that serve it by the format's name, and its limits."""

    title: str
    options: Mapping[str, Options]
    limits: Sequence[Limit]


def format_text(format_: Format) -> str:
    """Tell the format with every option that is not its own default: `csv with quoting: all`."""
    options = format_.model_dump(exclude_defaults=True, exclude={"type"})
    written = ", ".join(f"{name}: {_apart(value_text(value))}" for name, value in options.items())
    return format_.type + (f" with {written}" if written else "")


def _apart(text: str) -> str:
    # Between commas, a lone `,` or `;` would not be seen to be a value.
    return text if any(map(str.isalnum, text)) else f'"{text}"'


def value_text(value: object) -> str:
    """Tell an option's value as YAML has it, on one line."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    for character, shown in _SHOWN.items():
        text = text.replace(character, shown)
    return text


def _quoted(value: object) -> str:
    return "empty" if value == "" else f"`{value_text(value)}`"
