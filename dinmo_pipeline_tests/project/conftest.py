"""A project on disk, written from texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from dinmo_pipeline_tests.cli.conftest import dinmo as dinmo

WriteProject = Callable[..., Path]

BASE = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.Model
attributes: {name: customers, primary_key: [id], sql: "SELECT 1 AS id, 'a' AS name"}
---
type: dinmo_pipeline.Segment
attributes: {name: lapsed, model: customers, where: "id > 0"}
"""


@pytest.fixture
def write_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteProject:
    """Writes a project: `base` gives it a storage `out`, a model `customers` and a segment `lapsed`; `files` by their path in it."""
    monkeypatch.delenv("DINMO_HOME", raising=False)

    def write(files: dict[str, str], *, base: bool = True, pyproject: str = "[tool.dinmo]\n") -> Path:
        contents = {"pyproject.toml": pyproject, **({"defs/base/defs.yaml": BASE} if base else {}), **files}
        for name, text in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return tmp_path

    return write
