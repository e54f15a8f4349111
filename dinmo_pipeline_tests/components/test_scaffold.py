"""What `dg scaffold defs` writes is a definition that only lacks the names of others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dagster import ScaffoldRequest

from dinmo_pipeline.components import COMPONENTS
from dinmo_pipeline.components.scaffold import DefinitionScaffolder
from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.project.load import load_project


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_scaffolded_definition_lacks_nothing_but_what_others_are_called(tmp_path: Path, component: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    folder = tmp_path / "defs" / "New-One"
    folder.mkdir(parents=True)
    params: Any = SimpleNamespace()
    DefinitionScaffolder().scaffold(
        ScaffoldRequest(
            type_name=f"dinmo_pipeline.{component}", target_path=folder, scaffold_format="yaml", project_root=tmp_path, params=params
        )
    )

    attributes = yaml.safe_load((folder / "defs.yaml").read_text(encoding="utf-8"))["attributes"]
    assert attributes["source" if component == "Feed" else "name"] == "new_one"
    # Names of other definitions are for the author to write; Azure takes one of two ways to name the account.
    assert [message for message in problems(tmp_path) if "there is no" not in message and "account_url" not in message] == []


def problems(root: Path) -> list[str]:
    try:
        load_project(root)
    except DefinitionErrors as errors:
        return [problem.message for problem in errors.problems]
    return []
