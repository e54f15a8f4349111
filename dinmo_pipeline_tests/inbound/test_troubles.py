"""The file that keeps what is open about an inbox."""

from __future__ import annotations

from pathlib import Path

from dinmo_pipeline.inbound.troubles.troubles import save_troubles


def test_what_a_killed_pass_was_writing_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "troubles.json"
    save_troubles(path, [])
    (tmp_path / "troubles.json.draft").write_text("[{", encoding="utf-8")

    save_troubles(path, [])

    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".draft")] == []
