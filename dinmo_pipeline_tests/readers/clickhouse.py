"""Runs statements in ClickHouse's own engine (chdb) and prints the table that the last one asks for, a line of JSON a row."""

from __future__ import annotations

import sys
from pathlib import Path

from chdb import session


def main() -> None:
    """The database's folder and the file of statements are the arguments; each statement ends with `;` at a line's end."""
    folder, statements = sys.argv[1:]
    with session.Session(folder) as opened:
        for statement in Path(statements).read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                sys.stdout.write(str(opened.query(statement, "JSONEachRow")))


if __name__ == "__main__":
    main()
