"""Values in the tables that Dagster shows."""

from __future__ import annotations

import pytest

from dinmo_pipeline.catalog.metadata import markdown_table


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("![x](https://example.com/x.png)", r"!\[x](https://example.com/x.png)"),
        ("[x](javascript:alert(1))", r"\[x](javascript:alert(1))"),
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("&lt;b>", r"\&lt;b>"),
        ("a|b\\|c", r"a\|b\\\|c"),
        ("`a`", r"\`a\`"),
        ("a\nb\r\nc", "a b  c"),
        ("x" * 100_000, "x" * 59 + "…"),
        (None, ""),
    ],
)
def test_value_in_a_table_is_text_and_nothing_else(value: str | None, cell: str) -> None:
    assert markdown_table(["name"], [(value,)]).value == f"| name |\n| --- |\n| {cell} |"
