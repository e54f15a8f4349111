"""What a project finds around it: the variables of its `.env`, and folders whose paths its databases can have."""

from __future__ import annotations

import os
from pathlib import Path

from dinmo_pipeline.errors import CallError

ENV_FILE = ".env"
# DuckDB takes a question mark and a backslash in the path of a database for something else, SQLite's URLs the former as well;
# a comma parts the folders in which DuckDB looks for files.
_UNFIT_FOR_DATABASES = "?\\"
_UNFIT_FOR_PROJECTS = ",\\"


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


def check_project_path(root: Path) -> None:
    """CallError where DuckDB could not find files that queries name from the project's folder on."""
    if (found := _unfit(root, _UNFIT_FOR_PROJECTS)) is not None:
        raise CallError(f"the project's folder {str(root)!r} has {found} in its path, which DuckDB cannot have there; rename the folder")


def check_database_path(folder: Path, *, variable: str) -> None:
    """CallError where no database can be in the folder, which `variable` puts elsewhere."""
    real = folder.resolve()
    if (found := _unfit(real, _UNFIT_FOR_DATABASES)) is not None:
        raise CallError(
            f"the folder {str(real)!r} has {found} in its path, which the databases in it cannot have: "
            f"set {variable} to a folder elsewhere, or rename the folder"
        )


def _unfit(path: Path, characters: str) -> str | None:
    """The first character, in words, that may not stand in this path; None where it is fine."""
    for character in str(path):
        if character in characters:
            return f"the character {character}"
        if 0xDC80 <= ord(character) <= 0xDCFF:
            return f"a byte that is no UTF-8 ({ord(character) - 0xDC00:#x})"
    return None
