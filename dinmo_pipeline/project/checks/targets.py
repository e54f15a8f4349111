"""Which files an activation writes, so that two activations which would write the same one are found beforehand."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from dinmo_pipeline.project.schema.file_names import render_name, split_extension

# All variables differ within each and between both, so that names which agree at both instants agree at all that matter.
_PROBES = (datetime(2025, 4, 14, 7, 38, 59, 123_000, tzinfo=UTC), datetime(2031, 11, 26, 18, 5, 42, 987_000, tzinfo=UTC))
_CHANGES = ("added", "updated", "removed")
_PART = re.compile(r"(.+)_[1-9][0-9]*$")


@dataclass(frozen=True)
class Target:
    """What decides the files of one activation. `address` is the storage's; templates are valid.

    `endings` make a file each after what stands before the extension, `others` are whole names.
    """

    activation: str
    address: str
    folder: str
    file_name: str
    extension: str | None
    format_extension: str
    in_three: bool
    in_parts: bool
    endings: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """One file at both probes: its place, what stands before the extension, and the extension."""

    places: tuple[str, ...]
    stems: tuple[str, ...]
    suffixes: tuple[str, ...]

    def marked(self, mark: str) -> _File:
        """Return the file whose stem ends in `mark`, too."""
        return _File(self.places, tuple(stem + mark for stem in self.stems), self.suffixes)

    @property
    def whole(self) -> tuple[str, ...]:
        return tuple("/".join((place, stem + suffix)) for place, stem, suffix in zip(self.places, self.stems, self.suffixes, strict=True))

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(
            "/".join((place, f"{stem}_*{suffix}")) for place, stem, suffix in zip(self.places, self.stems, self.suffixes, strict=True)
        )

    @property
    def parts_that_hold_it(self) -> tuple[str, ...]:
        return _File(self.places, tuple(_PART.sub(r"\1", stem) for stem in self.stems), self.suffixes).parts

    @property
    def looks_like_a_part(self) -> bool:
        return all(_PART.fullmatch(stem) for stem in self.stems)


def shared_files(targets: Iterable[Target]) -> Iterator[tuple[str, str]]:
    """Yield pairs of activations, the later one first, that would write one file at some instant."""
    owners: dict[tuple[str, ...], str] = {}
    alike: list[tuple[Target, _File]] = []
    for target in targets:
        named = _named(target)
        files = [named.marked(f"_{change}") for change in _CHANGES] if target.in_three else [named]
        keys = [file.parts if target.in_parts else file.whole for file in files]
        keys += [file.whole for file in _companions(target, named)]
        yield from _clash(target, (owners[key] for key in keys if key in owners))
        owners.update({key: target.activation for key in keys if key not in owners})
        alike += [(target, file) for file in files if file.looks_like_a_part and not target.in_parts]
    for target, file in alike:
        yield from _clash(target, [owners[file.parts_that_hold_it]] if file.parts_that_hold_it in owners else [])


def _clash(target: Target, owners: Iterable[str]) -> Iterator[tuple[str, str]]:
    owner = next((owner for owner in owners if owner != target.activation), None)
    if owner is not None:
        yield target.activation, owner


def _named(target: Target) -> _File:
    places = tuple(_place(target.address, render_name(target.folder, probe, "UTC")) for probe in _PROBES)
    names = [
        split_extension(render_name(target.file_name, probe, "UTC"), extension=target.extension, format_extension=target.format_extension)
        for probe in _PROBES
    ]
    return _File(places, tuple(stem for stem, _ in names), tuple(suffix for _, suffix in names))


def _companions(target: Target, named: _File) -> Iterator[_File]:
    for ending in target.endings:
        yield _File(named.places, named.stems, (ending,) * len(_PROBES))
    for name in target.others:
        yield _File(named.places, (name,) * len(_PROBES), ("",) * len(_PROBES))


def _place(address: str, folder: str) -> str:
    normal = posixpath.normpath(folder)
    # An absolute folder, or one that leaves the start, is not below it; any other may be below another storage's start too.
    return f"{address}|{normal}" if normal.startswith(("/", "..")) else posixpath.normpath(f"{address}/{normal}")
