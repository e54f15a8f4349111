"""The mistakes that people make in YAML, told by name on the line where they were made."""

from __future__ import annotations

import pytest

from dinmo_pipeline.project.load import load_with_warnings

from .conftest import WriteProject
from .test_bad_projects import activation, errors_of

MODEL = "type: dinmo_pipeline.Model\nattributes:\n  name: more\n  primary_key: [id]\n"
MISTAKES = {
    "only a variable": (
        activation("file_name: {YYYY}"),
        '3: Activation export: file_name: expected text, found a mapping; a text that begins with { stands in quotes: "{YYYY}"',
    ),
    "bracket": (
        activation("file_name: '[x]_y'").replace("'", ""),
        '3: this is not YAML: file_name begins with [, which YAML takes for a list; put it in quotes: "[x]_y"',
    ),
    "schedule": (
        activation("schedule: * * * * *"),
        '3: this is not YAML: schedule begins with *, which means something else in YAML; put it in quotes: "* * * * *"',
    ),
    "percent": (
        activation("folder: %x"),
        '3: this is not YAML: folder begins with %, which means something else in YAML; put it in quotes: "%x"',
    ),
    "tab": (
        activation().replace("  format", "\tformat"),
        "8: this is not YAML: the line is indented with a tab; indent with spaces",
    ),
    "space that does not break": (
        activation().replace("  format", "\u00a0 format"),
        "8: this is not YAML: the line is indented with a space that does not break (U+00A0); type plain spaces",
    ),
    "too deep": (
        activation().replace("  format", "   format"),
        "8: this is not YAML: the line is indented by 3 spaces, and the one above it by 2; "
        "the fields of a definition stand under each other",
    ),
    "too shallow": (
        activation().replace("  format", " format"),
        "8: this is not YAML: the line is indented by 1 space, and the one above it by 2; "
        "the fields of a definition stand under each other",
    ),
    "colon in a text": (
        activation("description: Note: all of them"),
        "3: this is not YAML: description: its text holds a colon and a space, which YAML takes for a field; put it in quotes: "
        '"Note: all of them"',
    ),
    "colon in a query": (
        MODEL + "  sql: SELECT 'it''s: \"b\"' AS id\n",
        "5: this is not YAML: sql: its text holds a colon and a space, which YAML takes for a field; put it in quotes: "
        "'SELECT ''it''''s: \"b\"'' AS id'",
    ),
    "no space after the colon": (
        activation().replace("format: csv", "format:csv"),
        "8: this is not YAML: a space is missing after the colon of `format:`",
    ),
    "quote that is never closed": (
        activation('folder: "x') + "---\n" + activation("name: other"),
        "3: this is not YAML: a quote is opened on this line and never closed",
    ),
    "apostrophe": (
        activation("description: 'it's fine'"),
        "3: this is not YAML: description: an apostrophe in single quotes is written twice, or the text in double quotes",
    ),
    "text after quotes": (
        activation('folder: "{YYYY}"_big'),
        "3: this is not YAML: folder: text follows the closing quote; put all of it in the quotes",
    ),
    "path of Windows": (
        activation('folder: "C:\\Users"'),
        "3: this is not YAML: in double quotes a backslash begins a sign such as \\n; write single quotes, or two backslashes for one",
    ),
    "query that is not indented": (
        MODEL + "  sql: |\n  SELECT 1 AS id\n",
        "6: this is not YAML: the lines below `sql: |` are not indented; indent them deeper than it",
    ),
    "brace that is not closed": (
        activation().replace("full name}", "full name"),
        "11: this is not YAML: a { is opened on this line and not closed before the next field",
    ),
    "two hyphens": (
        activation() + "--\n" + activation("name: other"),
        "12: this is not YAML: definitions are parted by a line of three hyphens, ---",
    ),
    "control character": (
        activation("folder: a\x07b"),
        "3: this is not YAML: it holds the control character 0x07, which no text may; delete it",
    ),
    "empty query": (MODEL + "  sql: ''\n", "5: Model more: sql: it is empty, and needs a text"),
    "template": (
        MODEL + "  sql: |\n    SELECT 1\n    FROM {{ ref('x') }}\n",
        '7: Model more: sql: syntax error at or near "{"; a query is plain SQL without templates: name a table as models.NAME, '
        "a feed's as "
        "feeds.NAME",
    ),
    "two statements": (
        MODEL + "  sql: |\n    SELECT 1 AS id;\n\n    SELECT 2\n",
        "8: Model more: sql: it holds 2 statements (SELECT, SELECT), and a table is made by one query; give the others models of their own",
    ),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake_in_yaml_is_told_by_name_on_its_own_line(write_project: WriteProject, text: str, told: str) -> None:
    assert errors_of(write_project, {"defs/a/defs.yaml": text}) == [f"defs/a/defs.yaml:{told}"]


@pytest.mark.parametrize("value", ["@hunter2: x", "'hunter2", '"hunter2', "{a}hunter2", "%hunter2", "'it's hunter2'"])
def test_text_that_may_be_a_secret_is_not_repeated(write_project: WriteProject, value: str) -> None:
    storage = f"type: dinmo_pipeline.SftpServer\nattributes:\n  name: partner\n  host: h\n  username: u\n  password: {value}\n"

    told = " ".join(errors_of(write_project, {"defs/a/defs.yaml": storage}))

    assert "this is not YAML" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (activation().encode("utf-16"), "1: the file is in UTF-16; save it as UTF-8"),
        (activation().encode() + b"# caf\xe9\n", "12: the file is not text in UTF-8: byte 0xe9 on this line; save it as UTF-8"),
    ],
)
def test_file_that_is_no_utf8_is_told_with_what_it_is(write_project: WriteProject, content: bytes, told: str) -> None:
    root = write_project({"defs/a/defs.yaml": activation()})
    (root / "defs" / "a" / "defs.yaml").write_bytes(content)

    assert errors_of(write_project, {}) == [f"defs/a/defs.yaml:{told}"]


@pytest.mark.parametrize("path", ["defs.yaml", "activations/defs.yaml", "shop/defs.yml"])
def test_definitions_where_nobody_reads_them_are_a_warning(write_project: WriteProject, path: str) -> None:
    root = write_project({"defs/a/defs.yaml": activation(), path: "# ours\n" + activation("name: other")})

    assert [str(warning) for warning in load_with_warnings(root).warnings] == [
        f"{path}:2: definitions are read below defs alone, so these are left out; move the file there"
    ]
