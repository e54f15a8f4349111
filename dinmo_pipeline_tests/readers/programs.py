"""Recipes of other languages and programs, run in a folder of their own; what they made is shown as lines of JSON."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from . import dump
from .page import Recipe
from .table import COLUMNS

Rows = list[dict[str, str | None]]

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = ROOT / ".venv" / "readers" / "bin" / "python"
MODULES: Final = ROOT / ".venv" / "readers" / "node_modules"

# What shows `customers`, after the recipe's own lines.
_SHOWN: Final = {
    "php": 'foreach ($customers as $row) { echo json_encode($row, JSON_THROW_ON_ERROR), "\\n"; }',
    "ruby": 'require "json"\ncustomers.each { |row| puts JSON.generate(row) }',
    "perl": """\
use JSON::PP ();
for (@$customers) {
  $_->{score} = sprintf "%.17g", $_->{score} if defined $_->{score};  # JSON::PP writes 15 digits
  print JSON::PP->new->ascii->encode($_), "\\n";
}
""",
    "js": 'const show = (_, value) => (Object.is(value, -0) ? "-0.0" : value);\n'
    'console.log(customers.map((row) => JSON.stringify(row, show)).join("\\n"));',
    # Every column as text; R's own text of a double has 15 digits.
    "r": """\
day <- function(x) { d <- as.POSIXlt(x); ifelse(is.na(x), NA, sprintf("%04d-%02d-%02d", d$year + 1900L, d$mon + 1L, d$mday)) }
digits <- function(x) ifelse(is.na(x) & !is.nan(x), NA, sprintf("%.17g", x))
written <- function(x) if (inherits(x, "Date")) day(x) else if (is.double(x)) digits(x) else as.character(x)
texts <- lapply(as.list(customers), function(x) { x <- enc2utf8(written(x)); ifelse(is.na(x), "-", vapply(x, function(t)
  paste(c("+", sprintf("%02x", as.integer(charToRaw(t)))), collapse = ""), "")) })
writeLines(do.call(paste, c(texts, sep = ",")))
""",
}
_INTERPRETERS: Final = {
    "php": ["php", "-d", "display_errors=stderr"],
    "ruby": ["ruby", "-W0"],
    "perl": ["perl"],
    "js": ["node"],
    "r": ["Rscript", "--vanilla"],
}


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What a program wrote; the test fails when it does, and when it complains."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": str(folder), "LANG": "C.UTF-8", **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False, timeout=600)
    errors = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{command}\n{errors}"
    return done.stdout.decode()


def rows_of(recipe: Recipe, delivered: Path, folder: Path) -> Rows:
    """The rows of `customers` after the recipe, each value as text."""
    for path in delivered.iterdir():
        shutil.copy(path, folder)
    ((language, _),) = {recipe.blocks[-1]}
    return _RUNNERS[recipe.consumer](recipe, language, folder)


def _language(recipe: Recipe, language: str, folder: Path) -> Rows:
    path = folder / f"recipe.{language}"
    path.write_text(f"{recipe.code(language)}\n{_SHOWN[language]}\n", encoding="utf-8")
    return _lines(run([*_INTERPRETERS[language], str(path)], folder, NODE_PATH=str(MODULES)))


def _lines(text: str) -> Rows:
    # Python would take -0 for the integer 0.
    return [_texts(json.loads(line, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))) for line in text.split("\n") if line]


def _texts(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: dump.text(value) for name, value in row.items()}


def _r(recipe: Recipe, language: str, folder: Path) -> Rows:
    path = folder / "recipe.r"
    path.write_text(f"{recipe.code(language)}\n{_SHOWN[language]}\n", encoding="utf-8")
    found = []
    for line in run(["Rscript", "--vanilla", str(path)], folder).splitlines():
        cells = [None if cell == "-" else bytes.fromhex(cell[1:]).decode() for cell in line.split(",")]
        found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


def _sqlite(recipe: Recipe, language: str, folder: Path) -> Rows:
    done = subprocess.run(
        ["sqlite3", "-bail", "shop.db"], input=recipe.code("sql"), cwd=folder, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.row_factory = sqlite3.Row
        return [_texts(dict(row)) for row in connection.execute("SELECT * FROM customers")]


def _jq(recipe: Recipe, language: str, folder: Path) -> Rows:
    return _lines(run(["sh", "-c", recipe.code("sh")], folder))


def _libreoffice(recipe: Recipe, language: str, folder: Path) -> Rows:
    """The spreadsheet, written back as CSV by the same program: what its cells hold, and not how they are shown."""
    run(["sh", "-c", recipe.code("sh")], folder)
    (folder / "customers.csv").unlink()
    back = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false"
    run(["soffice", "--headless", "--convert-to", back, "customers.ods"], folder)
    with (folder / "customers.csv").open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file)]


def _python(recipe: Recipe, language: str, folder: Path) -> Rows:
    path = folder / "recipe.py"
    path.write_text(recipe.code(language), encoding="utf-8")
    code = Path(dump.__file__)
    done = subprocess.run([str(PYTHON), str(code)], input=str(path), cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return dump.answered(done.stdout)


def _clickhouse(recipe: Recipe, language: str, folder: Path) -> Rows:
    bytes_ = "base64Encode(photo) AS photo" if recipe.form == "Parquet" else "photo"
    shown = {name: f"toString({name}) AS {name}" for name in COLUMNS} | {"photo": bytes_}
    if recipe.form == "Parquet":
        shown |= {name: f"toJSONString({name}) AS {name}" for name in ("tags", "address", "quotas")}
    path = folder / "recipe.sql"
    path.write_text(f"{recipe.code('sql')};\nSELECT {', '.join(shown.values())} FROM customers;\n", encoding="utf-8")
    return _lines(run([str(PYTHON), str(ROOT / "dinmo_pipeline_tests" / "readers" / "clickhouse.py"), "db", str(path)], folder))


_RUNNERS: Final[dict[str, Callable[[Recipe, str, Path], Rows]]] = {
    **dict.fromkeys(("PHP", "Ruby", "Perl", "Node.js"), _language),
    "R": _r,
    "SQLite": _sqlite,
    "jq": _jq,
    "LibreOffice": _libreoffice,
    "pandas": _python,
    "ClickHouse": _clickhouse,
}
PROGRAMS: Final = tuple(_RUNNERS)
