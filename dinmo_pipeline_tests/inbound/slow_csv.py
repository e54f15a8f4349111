"""The rules of inbound CSV once more, one character after the other: what the fast reader is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Refusal(Exception):
    """The whole file; `line` is where the quote opens."""

    line: int


@dataclass
class Expected:
    """Rows as (record, line, values), rejects as (record, line), both without the header."""

    rows: list[tuple[int, int, tuple[str | None, ...]]] = field(default_factory=list)
    rejects: list[tuple[int, int]] = field(default_factory=list)
    originals: dict[int, str] = field(default_factory=dict)


@dataclass
class _Field:
    raw: str
    value: str
    quoted: bool
    fault: bool


class _Reader:
    def __init__(self, text: str, delimiter: str, quote: str, escape: str | None) -> None:
        self.text = text
        self.delimiter = delimiter
        self.quote = quote
        self.escape = escape
        self.at = 0
        self.line = 1

    def here(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.text[at] if at < len(self.text) else ""

    def step(self) -> str:
        char = self.here()
        if char == "\n" or (char == "\r" and self.here(1) != "\n"):
            self.line += 1
        self.at += 1
        return char

    def field(self) -> _Field:
        start, line = self.at, self.line
        value = ""
        quoted = self.here() == self.quote
        if quoted:
            self.step()
            while True:
                if not self.here():
                    raise Refusal(line)
                if self.here() == self.escape and self.here(1) and self.here(1) in (self.quote, self.escape):
                    self.step()
                elif self.here() == self.quote:
                    if self.here(1) != self.quote:
                        self.step()
                        break
                    self.step()
                value += self.step()
        rest = ""
        while self.here() not in ("", self.delimiter, "\r", "\n"):
            rest += self.step()
        if quoted and rest and self.line != line:
            raise Refusal(line)
        return _Field(self.text[start : self.at], value + rest, quoted, quoted and rest != "")

    def record(self) -> list[_Field]:
        fields = [self.field()]
        while self.here() == self.delimiter:
            self.step()
            fields.append(self.field())
        if self.step() == "\r" and self.here() == "\n":
            self.step()
        return fields


def read_slowly(text: str, delimiter: str = ";", quote: str = '"', escape: str | None = None, null_text: tuple[str, ...] = ()) -> Expected:
    """What must come of a text without byte order mark; its header decides on the number of fields."""
    reader = _Reader(text, delimiter, quote, escape if escape != quote else None)
    expected = Expected()
    width = 0
    record = -1
    while reader.here():
        line = reader.line
        start = reader.at
        fields = reader.record()
        raw = text[start : start + sum(len(each.raw) for each in fields) + len(fields) - 1]
        if raw == "":
            continue
        record += 1
        if record == 0:
            width = len(fields)
        elif len(fields) != width or any(each.fault or "\0" in each.raw for each in fields):
            expected.rejects.append((record, line))
            expected.originals[record] = raw
        else:
            values = tuple(None if not each.quoted and (each.value == "" or each.value in null_text) else each.value for each in fields)
            expected.rows.append((record, line, values))
            expected.originals[record] = raw
    return expected
