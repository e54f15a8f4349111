"""The page of consumers: whatever it shows is tried, or marked as untried, and every format on it is one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dinmo_pipeline.formats import FORMATS

from .limits import LIMITS, REFUSED
from .page import DIFFERENCES, PAGE, documents, recipes, whole_files
from .programs import CONSUMERS
from .test_libraries import LIBRARIES

TEXT = PAGE.read_text(encoding="utf-8")
TRIED = {*LIBRARIES, *CONSUMERS, "PostgreSQL", "MariaDB", "Spark", "xmllint"}
GENERAL = {"What is loaded", "Differences"}


def test_every_consumer_is_tried_or_called_untried() -> None:
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
    untried = {title for title, text in sections.items() if text.strip().startswith("*Untried.*")}

    assert sections.keys() == TRIED | untried | GENERAL
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


@pytest.mark.parametrize("format_", [document["format"] for document in documents() if "format" in document], ids=str)
def test_every_format_is_one(format_: Any) -> None:
    settings = format_ if isinstance(format_, dict) else {"type": format_}
    assert FORMATS[settings["type"]].model_validate(settings).model_dump(exclude_unset=True) == settings


def test_every_limit_is_one_of_a_recipe() -> None:
    assert {*LIMITS, *REFUSED} <= {name for recipe in whole_files() for name in (recipe.name, recipe.full_name)}
