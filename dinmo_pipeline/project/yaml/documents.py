"""Definition files as documents in which every key and value knows its line.

The files are those that Dagster loads: `defs.yaml`, `defs.yml` or, from older projects, `component.yaml`, one a folder,
and none below a folder that has one (unless it is a `dagster.DefsFolderComponent`). Whatever is wrong with the text
becomes a Problem, and reading goes on.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.yaml.files import FILE_NAMES, relative_name, yaml_files
from dinmo_pipeline.project.yaml.syntax import syntax_problem

PACKAGE = "dinmo_pipeline"
_OURS = re.compile(rf"^type:[ \t]*[\"']?{PACKAGE}\.", re.MULTILINE)
_FOLDER_TYPES = ("dagster.DefsFolderComponent", "dagster.components.DefsFolderComponent")
_PREFIX = "tag:yaml.org,2002:"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Spot:
    """Where a key and its value stand, lines from 1.

    `text_line` is that of the value's first line of text, or None when its lines are not the file's (a folded text). `raw` is a scalar
    as written, `None` for lists and mappings.
    """

    key_line: int
    line: int
    text_line: int | None
    raw: str | None


@dataclass(frozen=True)
class Document:
    """One document of a definition file: its content as Python values and a spot for each path in it.

    `file` is `path` relative to the project's folder, for people.
    """

    file: str
    path: Path
    line: int
    content: dict[str, Any]
    spots: dict[KeyPath, Spot] = field(repr=False)

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Return a Problem at the value (or key) of `path`, or at the nearest thing around it that has a line."""
        return Problem(self.file, self.line_of(path, at_key=at_key), message)

    def line_of(self, path: KeyPath, *, at_key: bool = False) -> int:
        """Return the line of the value (or key) at `path`, or of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            spot = self.spots.get(path[:length])
            if spot is not None:
                return spot.key_line if at_key else spot.line
        return self.line


@dataclass(frozen=True)
class Reading:
    """What was read: the documents, and what is wrong with the text."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def is_ours(content: dict[str, Any]) -> bool:
    """Return whether this document is for this package to check: one without a type is, for it may have lost it."""
    kind = content.get("type")
    return not isinstance(kind, str) or kind.partition(".")[0] == PACKAGE


def unread_definitions(folder: Path, *, root: Path) -> Iterator[Problem]:
    """Definitions of ours beside `folder`, below which alone they are read: in the project, by it, or in a folder next to it."""
    around = sorted({root, folder.parent})
    beside = [each for each in sorted(folder.parent.iterdir()) if each.is_dir() and each != folder and not each.name.startswith(".")]
    for path in (place / name for place in dict.fromkeys((*around, *beside)) for name in FILE_NAMES):
        if (line := _line_of_ours(path)) is not None:
            message = f"definitions are read below {relative_name(folder, root)} alone, so these are left out; move the file there"
            yield Problem(relative_name(path, root), line, message)


def read_documents(folder: Path, *, root: Path) -> Reading:
    """Return every document under `folder`, those of other components too; reads the disk and never raises for what it finds."""
    all_documents: list[Document] = []
    all_problems: list[Problem] = []
    covering: set[Path] = set()
    for path, is_read in yaml_files(folder):
        name = relative_name(path, root)
        if not is_read:
            all_problems += _stray_problems(path, name)
            continue
        documents, problems = _read_file(path, name)
        all_documents += documents
        all_problems += problems
        above = next((parent for parent in path.parent.parents if parent in covering), None)
        if above is not None and any(is_ours(document.content) for document in documents):
            message = f"Dagster does not read this file, because {relative_name(above, root)} above it has definitions of its own; "
            all_problems.append(Problem(name, 1, message + "move those into a folder beside this one"))
        if not any(document.content.get("type") in _FOLDER_TYPES for document in documents):
            covering.add(path.parent)
    return Reading(tuple(all_documents), tuple(all_problems))


def _stray_problems(path: Path, name: str) -> Iterator[Problem]:
    """Definitions of ours that nobody would read."""
    if (line := _line_of_ours(path)) is not None:
        message = f"Dagster reads of this folder the file {FILE_NAMES[0]} alone, so these definitions would be left out; "
        yield Problem(name, line, message + "move them there, or into a file of that name in a folder beside this one")


def _line_of_ours(path: Path) -> int | None:
    """Return the line of the file's first definition of ours; None where there is none, or no such file."""
    try:
        found = _OURS.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return None if found is None else found.string.count("\n", 0, found.start()) + 1


def _read_file(path: Path, name: str) -> tuple[list[Document], list[Problem]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [Problem(name, 1, f"the file cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        is_wide = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        found = "in UTF-16" if is_wide else f"not text in UTF-8: byte {error.object[error.start]:#04x} on this line"
        return [], [Problem(name, line, f"the file is {found}; save it as UTF-8")]
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            document = _document(node, name, path, problems)
            if document is not None:
                documents.append(document)
    except yaml.YAMLError as error:
        problems.append(Problem(name, *syntax_problem(text, error)))
    if not documents and not problems:
        problems.append(Problem(name, 1, "the file holds no definition, and Dagster stops at such a file; write one or delete the file"))
    return documents, problems


def _document(node: Node, name: str, path: Path, problems: list[Problem]) -> Document | None:
    line = _line(node)
    if not isinstance(node, MappingNode):
        empty = isinstance(node, ScalarNode) and not node.value
        found = "is empty" if empty else "is no mapping"
        if empty:
            # What is nothing stands where the next thing begins, which may be past the file's last line.
            line = max(1, line - 1)
        problems.append(Problem(name, line, f"the document {found}; a definition starts with `type:` and has `attributes:`"))
        return None
    found_here: list[Problem] = []
    reader = _Reader(lambda at, message: found_here.append(Problem(name, at, message)))
    content = reader.mapping(node, ())
    if is_ours(content):
        problems += found_here
    return Document(name, path, line, content, reader.spots)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Reader:
    """Turns nodes into values and keeps the lines; keys are text, whatever YAML takes them for (`no`, `2024`)."""

    def __init__(self, report: Callable[[int, str], None]) -> None:
        self.spots: dict[KeyPath, Spot] = {}
        self._report = report
        self._open: list[Node] = []

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PREFIX + "merge":
                self._merge(value_node, path, content)
                continue
            line = _line(key_node)
            if not isinstance(key_node, ScalarNode):
                self._report(line, "a key is a list or a mapping; write a plain text as the key")
                continue
            key = key_node.value
            if key in lines:
                self._report(line, f"{key!r} is repeated, first written on line {lines[key]}; keep one of the two")
                continue
            lines[key] = line
            content[key] = self._value(value_node, (*path, key), line)
        return content

    def _merge(self, node: Node, path: KeyPath, content: dict[str, Any]) -> None:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._report(_line(node), "`<<` merges mappings alone; give it an alias of one")
            elif self._enter(source):
                inner = _Reader(self._report)
                inner._open = self._open
                for key, value in inner.mapping(source, path).items():
                    if key not in content:
                        content[key] = value
                        depth = len(path)
                        self.spots.update((at, spot) for at, spot in inner.spots.items() if at[depth] == key)
                self._open.pop()

    def _value(self, node: Node, path: KeyPath, key_line: int) -> Any:
        line = _line(node)
        if isinstance(node, ScalarNode):
            self.spots[path] = Spot(key_line, line, _text_line(node), node.value)
            return self._scalar(node)
        self.spots[path] = Spot(key_line, line, None, None)
        if not self._enter(node):
            return None
        try:
            if isinstance(node, MappingNode):
                return self.mapping(node, path)
            return [self._value(item, (*path, index), _line(item)) for index, item in enumerate(node.value)]
        finally:
            self._open.pop()

    def _enter(self, node: Node) -> bool:
        if any(node is around for around in self._open):
            self._report(_line(node), "an alias stands inside the very thing that it names; write the value out")
            return False
        self._open.append(node)
        return True

    def _scalar(self, node: ScalarNode) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        # Dagster's loader leaves dates as they are written, too.
        if kind in ("str", "timestamp"):
            return node.value
        construct = {"int": SafeConstructor.construct_yaml_int, "float": SafeConstructor.construct_yaml_float}.get(kind)
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return SafeConstructor.bool_values[node.value.lower()]
            if construct is not None:
                return construct(SafeConstructor(), node)
        except (ValueError, KeyError, ConstructorError):
            self._report(_line(node), f"{node.value!r} is no {kind}; put text in quotes")
            return node.value
        self._report(_line(node), f"the YAML tag {node.tag!r} means nothing here; leave it out")
        return node.value


def _text_line(node: ScalarNode) -> int | None:
    if node.style == "|":
        return _line(node) + 1
    return _line(node) if node.start_mark.line == node.end_mark.line else None
