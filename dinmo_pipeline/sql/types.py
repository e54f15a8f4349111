"""DuckDB's type text (`STRUCT(a INTEGER, "b c" DECIMAL(4,2)[])`) read into a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ALIASES = {
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "TIMETZ": "TIME WITH TIME ZONE",
    "DATETIME": "TIMESTAMP",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "BYTEA": "BLOB",
    "VARBINARY": "BLOB",
    "BINARY": "BLOB",
    "BOOL": "BOOLEAN",
    "LOGICAL": "BOOLEAN",
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "LONG": "BIGINT",
    "INT2": "SMALLINT",
    "SHORT": "SMALLINT",
    "INT1": "TINYINT",
    "INT128": "HUGEINT",
    "UINT128": "UHUGEINT",
    "REAL": "FLOAT",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "NUMERIC": "DECIMAL",
    "BITSTRING": "BIT",
}

_TOKEN = re.compile(r"""\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|\[\d*\]|[(),]|[^\s"'(),\[\]]+)""")

_WORD = re.compile(r"""[A-Za-z_][A-Za-z0-9_]*|"(?:[^"]|"")*\"""")
_LITERAL = re.compile(r"\d+|'(?:[^']|'')*'")
_SIZE = re.compile(r"\[\d*\]")
_NESTED = ("STRUCT", "UNION", "MAP", "TUPLE")


@dataclass(frozen=True)
class DuckType:
    """A type: `kind` is its name without arguments in upper case, LIST and ARRAY for `x[]` and `x[3]`.

    `members` are the parts of a nested type with their names: STRUCT and UNION have their own, TUPLE has `1`, `2`, …,
    LIST and ARRAY have `item`, MAP has `key` and `value`. A DECIMAL all of whose digits stand behind the point is `DECIMAL BELOW ONE`.
    `digits` are those of a decimal: all of them, and those behind the point.
    """

    kind: str
    members: tuple[tuple[str, DuckType], ...] = ()
    digits: tuple[int, int] | None = None

    def walk(self) -> Iterator[DuckType]:
        """Yield this type and all types inside it."""
        yield self
        for _, member in self.members:
            yield from member.walk()


def is_type(text: str) -> bool:
    """Return whether the text has the form of a type, as DuckDB prints it, and of nothing else: put into a query it stays one."""
    spaced = list(_TOKEN.finditer(text))
    if "".join(found[0] for found in spaced) != text:
        return False
    try:
        return _skip_type([found[1] for found in spaced], 0) == len(spaced)
    except IndexError:
        return False


def parse_type(text: str) -> DuckType:
    """Return the tree of a type as DuckDB prints it; a type that is not known keeps its name as `kind` and has no members."""
    tokens = _TOKEN.findall(text)
    parsed, position = _parse(tokens, 0)
    if position != len(tokens):
        raise ValueError(f"reading the type {text!r}: unexpected {tokens[position]!r}; give the type as DuckDB prints it")
    return parsed


def _skip_type(tokens: list[str], position: int) -> int:
    """Return the position after the type that begins here; -1 where there is none. IndexError where the text ends within it."""
    start = position
    while position < len(tokens) and _WORD.fullmatch(tokens[position]):
        position += 1
    if position == start:
        return -1
    if position < len(tokens) and tokens[position] == "(":
        nested = tokens[position - 1].upper() in _NESTED
        while position >= 0 and tokens[position] in ("(", ","):
            literal = _LITERAL.fullmatch(tokens[position + 1]) is not None
            position = position + 2 if literal else _skip_type(tokens, position + 1) if nested else -1
        if position < 0 or tokens[position] != ")":
            return -1
        position += 1
    while position < len(tokens) and _SIZE.fullmatch(tokens[position]):
        position += 1
    return position


def _parse(tokens: list[str], position: int) -> tuple[DuckType, int]:
    words = []
    while position < len(tokens) and tokens[position][0] not in "(),[":
        words.append(tokens[position].strip('"'))
        position += 1
    kind = " ".join(words).upper()
    kind = _ALIASES.get(kind, kind)
    members: tuple[tuple[str, DuckType], ...] = ()
    digits = None
    if position < len(tokens) and tokens[position] == "(":
        if kind in ("STRUCT", "UNION"):
            members, position = _parse_members(tokens, position + 1, named=True)
        elif kind in ("MAP", "TUPLE"):
            members, position = _parse_members(tokens, position + 1, named=False)
            if kind == "MAP":
                members = (("key", members[0][1]), ("value", members[1][1]))
        else:
            end = _skip_arguments(tokens, position)
            match tokens[position:end]:
                case ["(", width, ",", scale, ")"] if kind == "DECIMAL":
                    digits = int(width), int(scale)
                    kind = "DECIMAL BELOW ONE" if width == scale else kind
            position = end
    parsed = DuckType(kind, members, digits)
    while position < len(tokens) and tokens[position][0] == "[":
        parsed = DuckType("LIST" if tokens[position] == "[]" else "ARRAY", (("item", parsed),))
        position += 1
    return parsed, position


def _parse_members(tokens: list[str], position: int, *, named: bool) -> tuple[tuple[tuple[str, DuckType], ...], int]:
    members: list[tuple[str, DuckType]] = []
    while tokens[position] != ")":
        if tokens[position] == ",":
            position += 1
        name = str(len(members) + 1)
        if named:
            name = tokens[position]
            name = name[1:-1].replace('""', '"') if name.startswith('"') else name
            position += 1
        member, position = _parse(tokens, position)
        members.append((name, member))
    return tuple(members), position + 1


def _skip_arguments(tokens: list[str], position: int) -> int:
    depth = 0
    while True:
        depth += {"(": 1, ")": -1}.get(tokens[position], 0)
        position += 1
        if depth == 0:
            return position
