"""The project that `dinmo init` makes: a copy of `files/`, named after its folder."""

from __future__ import annotations

import re
from pathlib import Path

from dinmo_pipeline.errors import CallError

_FILES = Path(__file__).parent / "files"
_MODULE = "MODULE"
_PLACES = {"gitignore": ".gitignore"}


def make_project(directory: Path) -> tuple[str, ...]:
    """Make the project in `directory`, which is new or empty; the paths of its files in it. CallError when something is there already."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CallError(f"making a project in {directory}: there is something already; name a folder that is new or empty")
    module = _module_name(directory)
    made = []
    for source in sorted(path for path in _FILES.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        relative = source.relative_to(_FILES).as_posix()
        name = _PLACES.get(relative, relative).replace(_MODULE, module)
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace(_MODULE, module), encoding="utf-8")
        made.append(name)
    return tuple(made)


def _module_name(directory: Path) -> str:
    # The suffix keeps it apart from Python's own modules and installed ones.
    text = re.sub(r"\W+", "_", directory.resolve().name.lower(), flags=re.ASCII).strip("_")
    return f"{text or 'my'}_pipeline" if not text[:1].isdigit() else f"p{text}_pipeline"
