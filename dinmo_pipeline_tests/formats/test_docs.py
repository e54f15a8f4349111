"""The page on file formats tells of every option with its values, and of every type that the tests write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from dinmo_pipeline.formats import FORMATS

from .values import VALUES

PAGE = (Path(__file__).parents[2] / "docs" / "file-formats.md").read_text(encoding="utf-8")
OPTIONS = [(name, option) for name, form in FORMATS.items() for option in form.model_fields if option != "type"]


def choices(annotation: Any) -> list[str]:
    """The values that an annotation lists, wherever they stand in it."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [value for part in get_args(annotation) for value in choices(part)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_page_tells_of_the_option_and_its_values(name: str, option: str) -> None:
    table = PAGE.partition("## Options")[2].partition("## The file")[0]
    assert f"`{option}`" in table
    for choice in choices(FORMATS[name].model_fields[option].annotation):
        assert f"`{choice}`" in table.replace("\\r", "\r").replace("\\n", "\n"), choice


def test_page_tells_of_every_type() -> None:
    for kind in {re.sub(r"[(\[].*|_(S|MS|NS)$", "", value.type) for value in VALUES} - {"TIMESTAMP WITH TIME ZONE"}:
        if not kind.endswith(("INT", "INTEGER")):
            assert kind in PAGE, kind
