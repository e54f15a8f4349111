"""The recipes of `docs/consumers.md`: each has the format to write and the commands that load its files, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "consumers.md"
_VARIED: Final = {
    "csv": [("quoting", "texts"), ("quoting", "all"), ("line_ending", "\r\n")],
    "parquet": [("compression", name) for name in ("snappy", "gzip", "lz4", "brotli", "none")],
}
DIFFERENCES: Final = "Differences"
_PART = re.compile(r"^(##+) (.+?)$|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Recipe:
    """What one consumer does with the files of one format: `settings` of the activation, and the blocks of commands with their language."""

    consumer: str
    form: str
    settings: dict[str, Any]
    blocks: tuple[tuple[str, str], ...]
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.consumer}, {self.form}"

    @property
    def full_name(self) -> str:
        """The name with what is varied."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    def code(self, language: str) -> str:
        """All its commands of a language."""
        return "\n".join(code for found, code in self.blocks if found == language)


def activations() -> dict[str, dict[str, Any]]:
    """The two activations at the top of the page, by name; recipes say their `format`."""
    return {document["attributes"]["name"]: document["attributes"] for document in _documents() if "type" in document}


def recipes() -> list[Recipe]:
    """All recipes in the order of the page: the blocks below a heading of the third level, the first of them the settings.

    What stands below `Table` comes before the commands of the recipes after it that load a whole file.
    """
    found: list[Recipe] = []
    consumer = form = ""
    blocks: list[tuple[str, str]] = []
    before: tuple[tuple[str, str], ...] = ()
    for level, title, language, code in [*_PART.findall(PAGE.read_text(encoding="utf-8")), ("##", "", "", "")]:
        if not level:
            blocks.append((language, code))
            continue
        if form == "Table":
            before = tuple(blocks)
        elif form and blocks:
            (language, settings), *commands = blocks
            assert language == "yaml", f"{consumer}, {form}: the first block is the format"
            found.append(Recipe(consumer, form, yaml.safe_load(settings), (*(before if form != DIFFERENCES else ()), *commands)))
        if level == "##":
            before = ()
        blocks = []
        consumer, form = (title, "") if level == "##" else (consumer, title)
    return found


def whole_files() -> list[Recipe]:
    """The recipes that load a whole file, each followed by its variants: other options of the format, and the same commands."""
    return [each for recipe in recipes() if recipe.form != DIFFERENCES for each in (recipe, *_variants(recipe))]


def _variants(recipe: Recipe) -> Iterator[Recipe]:
    format_ = recipe.settings["format"]
    stated = format_ if isinstance(format_, dict) else {"type": format_}
    for option, value in _VARIED.get(stated["type"], ()):
        if option not in stated:
            variant = f"{option} {value!r}" if value == "\r\n" else f"{option} {value}"
            yield replace(recipe, settings={"format": {**stated, option: value}}, variant=variant)


def _documents() -> list[dict[str, Any]]:
    """Every YAML document of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return [
        document for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for document in yaml.safe_load_all(block)
    ]
