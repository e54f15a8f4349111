"""Where the files of one write go and how they are called: templates with the time and with variables of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dinmo_pipeline.delta.export import joined
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.schema.file_names import render_name, split_extension


@dataclass(frozen=True)
class FileLayout:
    """The templates of folder and name, and what the name ends in: `extension`, else `format_extension`."""

    folder: str
    file_name: str
    format_extension: str
    extension: str | None = None
    timezone: str = "UTC"

    def at(self, instant: datetime, variables: Mapping[str, str]) -> FilePaths:
        """Return the paths of a write at this instant. CallError for an unknown variable, and for a value that no path can hold."""
        for name, value in variables.items():
            if not _is_plain(value) and any(f"{{{name}}}" in template for template in (self.folder, self.file_name)):
                raise CallError(f"naming a file by {{{name}}}: {value!r} cannot stand in a path; leave it out of folder and file_name")
        name = render_name(self.file_name, instant, self.timezone, variables)
        if not _is_plain(name):
            raise CallError(f"naming a file {self.file_name!r}: {name!r} is no name; write folders into `folder`")
        stem, suffix = split_extension(name, extension=self.extension, format_extension=self.format_extension)
        return FilePaths(render_name(self.folder, instant, self.timezone, variables), stem, suffix)


def _is_plain(text: str) -> bool:
    return text not in ("", ".", "..") and not any(character in "/\\" or ord(character) < 32 for character in text)


@dataclass(frozen=True)
class FilePaths:
    """The paths of one write: a file, or parts that are counted from 1."""

    folder: str
    stem: str
    suffix: str

    def path(self, part: int | None = None) -> str:
        """Return the path of the file, or of one of its parts."""
        number = f"_{part}" if part is not None else ""
        return joined(self.folder, f"{self.stem}{number}{self.suffix}")
