"""The page of consumers: whatever it shows is tried, or marked as untried, and every format on it is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.project.consumers.consumers import CONSUMERS

from .limits import LIMITS, REFUSED
from .page import DIFFERENCES, PAGE, recipes, whole_files
from .programs import PROGRAMS
from .test_libraries import LIBRARIES

TEXT = PAGE.read_text(encoding="utf-8")
TRIED = {*LIBRARIES, *PROGRAMS, "PostgreSQL", "MariaDB", "Spark", "xmllint"}
GENERAL = {"What is loaded", "Differences"}


def formats() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each format on the page, with its options, below the name of its consumer."""
    for consumer, section in sections().items():
        for block in re.findall(r"^```yaml\n(format:.*?)^```$", section, re.MULTILINE | re.DOTALL):
            format_ = yaml.safe_load(block)["format"]
            yield consumer, format_ if isinstance(format_, dict) else {"type": format_}


def sections() -> dict[str, str]:
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_every_consumer_is_tried_or_called_untried() -> None:
    untried = {title for title, text in sections().items() if text.strip().startswith("*Untried.*")}

    assert sections().keys() == TRIED | untried | GENERAL
    assert {recipe.consumer for recipe in recipes()} == TRIED
    assert {recipe.consumer for recipe in recipes() if recipe.form == DIFFERENCES} == {
        "PostgreSQL",
        "MariaDB",
        "SQLite",
        "ClickHouse",
        "Spark",
    }


def test_every_section_is_reached_from_the_top() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}
    general = {title.lower().replace(" ", "-") for title in GENERAL}

    assert set(re.findall(r"\]\(#([a-z0-9-]+)\)", TEXT)) == anchors - general


@pytest.mark.parametrize("settings", [format_ for _, format_ in formats()], ids=str)
def test_every_format_is_one(settings: dict[str, Any]) -> None:
    assert FORMATS[settings["type"]].model_validate(settings).model_dump(exclude_unset=True) == settings


def test_recipes_write_the_options_that_a_consumer_of_that_name_sets() -> None:
    """Compression is free, and a spreadsheet that is to keep every digit has all values in quotes."""
    wrong = []
    for consumer, format_ in formats():
        served = [reader.options for reader in CONSUMERS.values() if reader.title == consumer]
        if served and consumer != "LibreOffice":
            options = {name: value for name, value in format_.items() if name not in ("type", "compression")}
            if options != served[0].get(format_["type"], {}):
                wrong.append((consumer, format_))
    assert wrong == []


def test_every_limit_is_one_of_a_recipe() -> None:
    assert {*LIMITS, *REFUSED} <= {name for recipe in whole_files() for name in (recipe.name, recipe.full_name)}
