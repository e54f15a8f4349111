"""The text of a project's `pyproject.toml`."""

from __future__ import annotations

from pathlib import Path

PYPROJECT = "pyproject.toml"


def read_pyproject(root: Path) -> str:
    """Read the `pyproject.toml` of the folder; nothing where there is none."""
    try:
        return (root / PYPROJECT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
