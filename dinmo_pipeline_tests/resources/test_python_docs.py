"""The Python of docs/python.md runs as it stands, in an empty folder, and type checkers take it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from dinmo_pipeline_tests.people import run_command

DOCS = Path(__file__).resolve().parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
MATERIALIZED = "\nassert dg.materialize([customers], resources=dict(defs.resources or {})).success\n"


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs_in_an_empty_folder(tmp_path: Path, number: int) -> None:
    text = EXAMPLES[number]
    (tmp_path / "example.py").write_text(text + (MATERIALIZED if "defs =" in text else ""), encoding="utf-8")

    ran = run_command(sys.executable, "example.py", cwd=tmp_path)

    assert ran.code == 0, ran.err
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_type_checker_takes_the_examples_and_tells_a_misspelt_field(tmp_path: Path) -> None:
    for number, text in enumerate(EXAMPLES):
        (tmp_path / f"example{number}.py").write_text(text, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(
        'from dinmo_pipeline.resources import SftpServer\nSftpServer(host="h", username="u", hots="")\nSftpServer(host=1, username="u")\n',
        encoding="utf-8",
    )

    ran = run_command(sys.executable, "-m", "mypy", "--strict", ".", cwd=tmp_path)

    assert [tuple(found) for found in re.findall(r"^(\S+?):(\d+): error: (.*?)  \[", ran.out, re.MULTILINE)] == [
        ("wrong.py", "2", 'Unexpected keyword argument "hots" for "SftpServer"'),
        ("wrong.py", "3", 'Argument "host" to "SftpServer" has incompatible type "int"; expected "str"'),
    ]
