"""Texts that are no YAML, told by the mistake that its author most likely made, on the line where he made it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

_FIELD = re.compile(r"^(?P<indent> *)(?:- )?(?P<key>[A-Za-z_][\w.-]*): +(?P<value>\S.*?) *$")
_SIGNS = {"%": "", "@": "", "`": "", "*": "", "|": "", ">": "", "?": " ", "-": " "}
_SECRET = re.compile("pass|secret|token|key|credential|sas|connection", re.IGNORECASE)
_UNKNOWN = "look at this line and the one above: is each field indented alike, and is a text that begins with { or [ in quotes?"


@dataclass(frozen=True)
class _Fault:
    """What the parser gave up at: the text's lines, the one of the fault, and the one where that began which it was reading; from 0."""

    lines: list[str]
    at: int
    began: int
    said: str

    def line(self, number: int) -> str:
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def suspects(self) -> Iterator[tuple[int, re.Match[str]]]:
        """Fields that may be wrong: that of the fault's line, the one before it, the one that was being read."""
        before = next((number for number in range(self.at - 1, -1, -1) if self.line(number).strip()), self.at)
        for number in dict.fromkeys((self.at, before, self.began)):
            if (field := _FIELD.match(self.line(number))) is not None:
                yield number, field


def syntax_problem(text: str, error: yaml.YAMLError) -> tuple[int, str]:
    """Return the line, from 1, and what is wrong there, in words for the text's author."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"this is not YAML: it holds the control character {error.character:#04x}, which no text may; delete it"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, f"this is not YAML: {error}"
    mark = error.problem_mark or error.context_mark
    at = mark.line if mark is not None else 0
    began = error.context_mark.line if error.context_mark is not None else at
    said = " ".join(part for part in (error.context, error.problem) if part)
    fault = _Fault(text.splitlines(), at, began, said)
    for look in _LOOKS:
        if (found := look(fault)) is not None:
            return found[0] + 1, f"this is not YAML: {found[1]}"
    return at + 1, f"this is not YAML: {said}; {_UNKNOWN}"


_Found = tuple[int, str] | None


def _tab(fault: _Fault) -> _Found:
    for number in (fault.at, fault.at - 1, fault.began):
        line = fault.line(number)
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            return number, "the line is indented with a tab; indent with spaces"
        if "\u00a0" in indent:
            return number, "the line is indented with a space that does not break (U+00A0); type plain spaces"
    return None


def _quotes(fault: _Fault) -> _Found:
    if "quoted scalar" not in fault.said:
        return None
    if "unexpected" in fault.said:
        return fault.began, "a quote is opened on this line and never closed"
    return fault.at, "in double quotes a backslash begins a sign such as \\n; write single quotes, or two backslashes for one"


def _after_quotes(fault: _Fault) -> _Found:
    for number, field in fault.suspects():
        rest = re.match(r"(?:'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\")(?! *(?:#.*)?$)(.*)", field["value"])
        if rest is not None and field["value"][0] == "'" == rest[1].rstrip()[-1:]:
            return number, f"{field['key']}: an apostrophe in single quotes is written twice, or the text in double quotes"
        if rest is not None:
            return number, f"{field['key']}: text follows the closing quote; put all of it in the quotes"
    return None


def _brackets(fault: _Fault) -> _Found:
    for number, field in fault.suspects():
        key, value = field["key"], field["value"]
        if re.match(r"(?:\{[^{}]*\}|\[[^\[\]]*\]) *[^ #]", value):
            kind = "mapping" if value[0] == "{" else "list"
            return number, f"{key} begins with {value[0]}, which YAML takes for a {kind}; put it in quotes{_quoted(key, value)}"
    if "while parsing a flow" in fault.said:
        sign = "{" if "mapping" in fault.said else "["
        return fault.began, f"a {sign} is opened on this line and not closed before the next field"
    return None


def _sign(fault: _Fault) -> _Found:
    for number, field in fault.suspects():
        key, value = field["key"], field["value"]
        is_block = re.fullmatch(r"[|>][+-]?\d?", value)
        if value[0] in _SIGNS and value[1:].startswith(_SIGNS[value[0]]) and (len(value) > 1 or value in "*%@`") and not is_block:
            return number, f"{key} begins with {value[0]}, which means something else in YAML; put it in quotes{_quoted(key, value)}"
    return None


def _documents(fault: _Fault) -> _Found:
    if re.fullmatch(r"-{2}\s*|-{4,}\s*", fault.line(fault.began)):
        return fault.began, "definitions are parted by a line of three hyphens, ---"
    return None


def _colon(fault: _Fault) -> _Found:
    field = _FIELD.match(fault.line(fault.at))
    if "mapping values" in fault.said and field is not None and re.search(r"^[^\"'{\[].*:(?: |$)", field["value"]):
        told = "its text holds a colon and a space, which YAML takes for a field; put it in quotes"
        return fault.at, f"{field['key']}: {told}{_quoted(field['key'], field['value'])}"
    glued = re.match(r"\s*([A-Za-z_]\w*):\S", fault.line(fault.began))
    if "could not find expected ':'" in fault.said and glued is not None:
        return fault.began, f"a space is missing after the colon of `{glued[1]}:`"
    return None


def _indentation(fault: _Fault) -> _Found:
    for number in dict.fromkeys((fault.began, fault.at)):
        above = next((other for other in range(number - 1, -1, -1) if fault.line(other).strip()), 0)
        line, before = fault.line(number), fault.line(above)
        deep, deep_before = (len(each) - len(each.lstrip(" ")) for each in (line, before))
        if re.search(r": *[|>][+-]?\d?\s*$", before) and deep <= deep_before:
            return number, f"the lines below `{before.strip()}` are not indented; indent them deeper than it"
        if number == fault.at and deep != deep_before and _FIELD.match(line):
            spaces = "1 space" if deep == 1 else f"{deep} spaces"
            told = f"the line is indented by {spaces}, and the one above it by {deep_before}"
            return number, f"{told}; the fields of a definition stand under each other"
    return None


def _quoted(key: str, value: str) -> str:
    """Return the text as it is to be written, unless it may be a secret."""
    if _SECRET.search(key):
        return ""
    return f': "{value}"' if '"' not in value else ": '" + value.replace("'", "''") + "'"


_LOOKS: tuple[Callable[[_Fault], _Found], ...] = (
    _tab,
    _quotes,
    _after_quotes,
    _brackets,
    _sign,
    _documents,
    _colon,
    _indentation,
)
