"""What Dagster loads: the definitions of the project that it was started in."""

from __future__ import annotations

from pathlib import Path

from dagster import Definitions, definitions, load_from_defs_folder

from dinmo_pipeline.project.settings import find_project_root


@definitions
def defs() -> Definitions:
    """Everything that the project's `defs/` folder defines."""
    return load_from_defs_folder(path_within_project=find_project_root(Path.cwd()))
