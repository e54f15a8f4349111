"""Where the text of a query stands in its author's files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SqlPlace:
    """The file, relative to the project's folder, and the line on which line `starts` of the query stands.

    `starts` is None where lines of the query are not lines of the file: it is then told by the line of its field.
    """

    file: str
    line: int
    starts: int | None = 1

    def line_of(self, query_line: int) -> int:
        """Return the file's line of a line of the query, from 1."""
        return self.line if self.starts is None else self.line + max(0, query_line - self.starts)

    def at(self, query_line: int) -> str:
        """File and line, as people are told them."""
        return f"{self.file}:{self.line_of(query_line)}"
