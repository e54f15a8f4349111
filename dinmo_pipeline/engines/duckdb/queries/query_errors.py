"""DuckDB's errors about a query, in words for its author: what is wrong, on which line, and what to do here about it."""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from dinmo_pipeline.suggestions import nearest_hint

_LINE = re.compile(r"^LINE (\d+): (?P<text>.*)\n(?P<carets> *\^+)", re.MULTILINE)
_NAMES = re.compile(r"^(?:Candidate (?:bindings|tables)|Did you mean)[ :]+(.*)$", re.MULTILINE)
_KIND = re.compile(r"^[A-Z][A-Za-z -]* Error: ")
_PARTS = re.compile(r"[,;|\t]")
# DuckDB's own settings, and its pages on them, are out of reach of a query here.
_SETTINGS = re.compile(r',? ?\b(?:or )?(?:Use |by )?"?SET \w+ ?=[^.\n]*(?:\.|$)')
_ADVICE = re.compile(r"\n\s*(?:Candidate functions|Possible solutions|Possible fixes|See also|Did you mean|Candidate|LINE \d+:)")


def query_problem(error: duckdb.Error, *, lines_before: int = 0) -> tuple[int, str]:
    """Return the line of the query, from 1, and one line about what is wrong; `lines_before` are lines of ours before the query's first."""
    text = str(error)
    found = _LINE.search(text)
    line = max(1, int(found[1]) - lines_before) if found is not None else 1
    return line, _words(error, text, found)


def query_words(error: duckdb.Error) -> str:
    """Say what is wrong, in one line."""
    return query_problem(error)[1]


def _words(error: duckdb.Error, text: str, found: re.Match[str] | None) -> str:
    if isinstance(error, duckdb.OutOfMemoryException) and "memory_limit" in text:
        limit = re.search(r"/([\d.]+ \w+) used", text)
        allowed = f" ({limit[1]})" if limit is not None else ""
        return f"it needs more memory than memory_limit{allowed} allows; raise that in [tool.dinmo] of pyproject.toml"
    if "CSV Error on Line:" in text:
        return _of_csv(text)
    for pattern, words in _WORDS:
        if (match := re.search(pattern, text)) is not None:
            return words(match, _candidates(text))
    first = _KIND.sub("", _ADVICE.split(f"\n{text}", maxsplit=1)[0].strip())
    told = " ".join(_SETTINGS.sub("", first).split()).rstrip(".,:")
    return told + (f", at `{_marked(found)}`" if found is not None else "")


def _candidates(text: str) -> list[str]:
    return [name for line in _NAMES.findall(text) for name in re.findall(r'"([^"]+)"', line)]


def _marked(found: re.Match[str]) -> str:
    """Find what the carets stand under; DuckDB counts from the beginning of its line, `LINE 1: ` and all."""
    whole = found[0].partition("\n")[0]
    start, end = found["carets"].index("^"), len(found["carets"])
    return whole[start:end].strip()


def _no_column(match: re.Match[str], candidates: list[str]) -> str:
    if any(_PARTS.search(name) for name in candidates):
        headers = max(candidates, key=len)
        delimiter = _PARTS.findall(headers)[0]
        return (
            f"there is no column {match['name']}: a file was read as one column, {headers!r}, since its delimiter was not found; a line of "
            f"it may be broken, or write it: read_csv('…', delim = {delimiter!r})"
        )
    return f"there is no column {match['name']}{nearest_hint(match['name'], candidates)}"


def _of_csv(text: str) -> str:
    line, file = re.search(r"CSV Error on Line: (\d+)", text), re.search(r"^ *file = (.*)$", text, re.MULTILINE)
    where = f"{file[1] if file else 'a CSV file'}, line {line[1] if line else '?'}"
    if (column := re.search(r'converting column "([^"]*)"\. Could not convert string "(.*)" to \'(.*)\'', text)) is not None:
        name, value, type_text = column.groups()
        return (
            f"{where}: column {name}: {value!r} is no {type_text}; correct the file, or read the column as text: "
            f"read_csv('…', types = {{'{name}': 'VARCHAR'}})"
        )
    said = re.search(r"Original Line:[^\n]*\n(?P<said>[^\n]+)", text)
    return f"{where}: {said['said'].rstrip('.') if said else 'it cannot be read'}; correct the file, or tell read_csv how it is written"


_Words = Callable[[re.Match[str], list[str]], str]
_WORDS: tuple[tuple[str, _Words], ...] = (
    (r'Referenced column "(?P<name>[^"]*)"', _no_column),
    (
        r'Table "(?P<table>[^"]*)" does not have a column named "(?P<name>[^"]*)"',
        lambda match, names: f"{match['table']} has no column {match['name']}{nearest_hint(match['name'], names)}",
    ),
    (
        r'Referenced table "(?P<name>[^"]*)" not found',
        lambda match, names: f"nothing in the query is called {match['name']}{nearest_hint(match['name'], names)}",
    ),
    (
        r'Function with name "?(?P<name>[^" ]+)"? is not in the catalog, but it exists in the (?P<extension>\w+) extension',
        lambda match, names: f"the function {match['name']} is of DuckDB's extension {match['extension']}, which is not installed here",
    ),
    (
        r'Function with name "?(?P<name>[^" ]+)"? does not exist',
        lambda match, names: f"there is no function {match['name']}{nearest_hint(match['name'], names) if _close(match, names) else ''}",
    ),
    (
        r"Table with name (?P<name>\S+) does not exist",
        lambda match, names: f"there is no table {match['name']}{nearest_hint(match['name'], names) if _close(match, names) else ''}",
    ),
    (
        r'No files found that match the pattern "(?P<name>[^"]*)"',
        lambda match, names: f"there is no file {match['name']}; paths start at the project's folder",
    ),
    (
        r"Division by zero in expression (?P<name>.*?)\. Use",
        lambda match, names: f"division by zero in {match['name']}; write nullif(…, 0) around what divides, or TRY(…) around all of it",
    ),
)


def _close(match: re.Match[str], names: list[str]) -> bool:
    # DuckDB names the least unlike one of thousands, however unlike it is.
    return "did you mean" in nearest_hint(match["name"], names)
