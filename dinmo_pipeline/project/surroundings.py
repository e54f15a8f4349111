"""What a project finds around it: the variables of its `.env`, and folders whose paths its databases can have."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dinmo_pipeline.errors import CallError

ENV_FILE = ".env"
# DuckDB takes a question mark and a backslash in the path of a database for something else, SQLite's URLs the former as well.
_UNFIT_FOR_DATABASES = "?\\"
# In the path of a file that a query reads, these are patterns; a comma parts the folders in which DuckDB looks for files.
_UNFIT_FOR_READING = ",\\?*["


def read_env_file(root: Path) -> None:
    """Set the variables of the project's `.env`, as Dagster does: what stands there comes before what is set already.

    CallError where there is a file that cannot be read.
    """
    path = root / ENV_FILE
    if not path.exists():
        return
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"reading the variables in {path}: {error}; mend the file or its rights, or remove it") from error
    os.environ.update({name: value for name, value in values.items() if value is not None})


def default_home(root: Path) -> Path:
    """Find where the project in `root` keeps its state unless `DINMO_HOME` says otherwise: `.dinmo` in it, where databases can be there.

    Else a folder of its own in `XDG_STATE_HOME`, `~/.local/state` by default; `dinmo check` says so.
    """
    return root / ".dinmo" if moved_home_reason(root) is None else _state_folder(root)


def _state_folder(root: Path) -> Path:
    states = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    checksum = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return states / "dinmo" / f"{root.name}-{checksum}".translate(dict.fromkeys(map(ord, _UNFIT_FOR_READING), "_"))


def moved_home_reason(root: Path) -> str | None:
    """Say why the state of the project is not in its folder by default; None where it is."""
    found = next((character for character in str(root) if character in _UNFIT_FOR_DATABASES), None)
    return None if found is None else f"the project's folder has the character {found} in its path, which databases cannot have"


def search_folder(root: Path, home: Path) -> Path:
    """Find the folder in which queries find the project's files: `root`, or a link to it where its path would be a pattern.

    Makes the link, in `home` where that has a path without patterns.
    """
    if not _has_pattern(root):
        return root
    link = (_state_folder(root) if _has_pattern(home) else home) / "project"
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != root:
        # In one step: another process may read through it.
        draft = link.with_name(f".project.{os.getpid()}")
        draft.unlink(missing_ok=True)
        draft.symlink_to(root)
        draft.replace(link)
    return link


def _has_pattern(folder: Path) -> bool:
    return any(character in _UNFIT_FOR_READING for character in str(folder))


def check_database_path(folder: Path, *, variable: str) -> None:
    """Raise CallError where no database can be in the folder, which `variable` puts elsewhere."""
    real = folder.resolve()
    if (found := _unfit(real, _UNFIT_FOR_DATABASES)) is not None:
        raise CallError(
            f"the folder {str(real)!r} has {found} in its path, which the databases in it cannot have: "
            f"set {variable} to a folder elsewhere, or rename the folder"
        )


def _unfit(path: Path, characters: str) -> str | None:
    """Return the first character, in words, that may not stand in this path; None where it is fine."""
    for character in str(path):
        if character in characters:
            return f"the character {character}"
        if 0xDC80 <= ord(character) <= 0xDCFF:
            return f"a byte that is no UTF-8 ({ord(character) - 0xDC00:#x})"
    return None
