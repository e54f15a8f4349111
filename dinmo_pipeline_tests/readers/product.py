"""The files that recipes load: delivered by activations of a project, as a run delivers them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from dinmo_pipeline_tests.people import sync_people

from . import table
from .page import Recipe, activations

NOW = datetime(2025, 4, 14, 7, tzinfo=UTC)


class Files:
    """A project with an activation of the table for each format that recipes name; each is delivered when first asked for."""

    def __init__(self, root: Path, recipes: Sequence[Recipe]) -> None:
        self._root = root
        keys = dict.fromkeys(map(_key, recipes))
        self._names = {key: f"customers_{number}" for number, key in enumerate(keys)}
        (root / "pyproject.toml").write_text(f'[tool.dinmo]\ntimezone = "{table.ZONE}"\n', encoding="utf-8")
        documents: list[dict[str, Any]] = [
            {"type": "dinmo_pipeline.LocalFolder", "attributes": {"name": "out", "path": "out"}},
            {"type": "dinmo_pipeline.Model", "attributes": {"name": "customers", "primary_key": ["id"], "sql": table.MODEL}},
        ]
        for key, name in self._names.items():
            attributes = {**activations()["customers"], **json.loads(key), "name": name, "folder": name}
            documents.append({"type": "dinmo_pipeline.Activation", "attributes": attributes})
        (root / "defs").mkdir()
        (root / "defs" / "defs.yaml").write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
        table.write_source(root / "customers.parquet")

    def folder(self, recipe: Recipe) -> Path:
        """The folder that holds the recipe's file."""
        name = self._names[_key(recipe)]
        folder = self._root / "out" / name
        if not folder.exists():
            sync_people(self._root, name, NOW)
        return folder


def _key(recipe: Recipe) -> str:
    return json.dumps(recipe.settings, sort_keys=True)
