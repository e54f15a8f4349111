"""What Dagster loads: the definitions of the project that it was started in."""

from __future__ import annotations

from pathlib import Path

from dagster import Definitions, definitions, load_from_defs_folder

from dinmo_pipeline.components import project_definitions
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.settings import find_project_root, is_dg_project


@definitions
def defs() -> Definitions:
    """Everything in the project's `defs/` folder: in a project of `dg`, other components and Python assets, too."""
    root = find_project_root(Path.cwd())
    return load_from_defs_folder(path_within_project=root) if is_dg_project(root) else project_definitions(load_with_warnings(root))
