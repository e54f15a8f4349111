"""What Dagster loads: the definitions of the project that it was started in."""

from __future__ import annotations

import sys
from pathlib import Path

from dagster import Definitions, RepositoryDefinition, definitions, load_from_defs_folder

from dinmo_pipeline.components import project_repository
from dinmo_pipeline.gc_tuning import collect_rarely, keep_all_of_now
from dinmo_pipeline.project.load import load_with_warnings_cached
from dinmo_pipeline.project.settings import find_project_root, is_dg_project


@definitions  # type: ignore[arg-type]  # a repository is taken, too; only the annotation leaves it out
def defs() -> Definitions | RepositoryDefinition:
    """Return everything in the project's `defs/` folder: in a project of `dg`, other components and Python assets, too."""
    collect_rarely()
    root = find_project_root(Path.cwd())
    # Read before Dagster reads, so that every mistake shows at once, those too at which Dagster would stop.
    loaded = load_with_warnings_cached(root)
    keep_all_of_now()
    if not is_dg_project(root):
        return project_repository(loaded)
    # Its module is found without being installed; an installed one comes first.
    sys.path.extend(str(folder) for folder in (root / "src", root) if str(folder) not in sys.path)
    return load_from_defs_folder(path_within_project=root)
