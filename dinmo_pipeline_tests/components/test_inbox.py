"""What Dagster gets of inboxes and feeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import AssetKey, Definitions, load_from_defs_folder

from dinmo_pipeline.components import project_definitions
from dinmo_pipeline.project.load import load_with_warnings

from ..inbox_projects import INBOX, feed, make_inbox

MODEL = """\
---
type: dinmo_pipeline.Model
attributes: {name: people, primary_key: [id], sql: "SELECT id FROM entities.contacts"}
"""
DEFINITIONS = INBOX + feed(columns="{age: number}") + feed(source="web", subsection="leads", format="json", load="append") + MODEL


@pytest.fixture(params=["by us", "by Dagster"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Definitions:
    root = make_inbox(tmp_path, DEFINITIONS)
    if request.param == "by us":
        return project_definitions(load_with_warnings(root))
    # A module is loaded once a process, so each test's has a name of its own.
    module = root / f"shop_in_{tmp_path.name}"
    pyproject = f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{module.name}"\n'
    (root / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    module.mkdir()
    (module / "__init__.py").touch()
    (root / "defs").rename(module / "defs")
    monkeypatch.syspath_prepend(str(root))
    return load_from_defs_folder(path_within_project=root)


def test_lineage_goes_from_feeds_over_their_entity_to_the_model(loaded: Definitions) -> None:
    graph = loaded.resolve_asset_graph()
    parents = {key.to_user_string(): {each.to_user_string() for each in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()}

    assert parents == {
        "feeds/contacts_shop": set(),
        "feeds/contacts_web_leads": set(),
        "entities/contacts": {"feeds/contacts_shop", "feeds/contacts_web_leads"},
        "models/people": {"entities/contacts"},
    }


def test_feeds_and_entities_say_what_they_are(loaded: Definitions) -> None:
    graph = loaded.resolve_asset_graph()
    words = {key.path[-1]: graph.get(key).description for key in graph.get_all_asset_keys() if key.path[0] != "models"}

    assert words == {
        "contacts_shop": "Files contacts_shop_YYYYMMDD.csv of inbox partner: the newest version of each record is kept.",
        "contacts_web_leads": "Files contacts_web_leads_YYYYMMDD.json of inbox partner: every record of every file is kept.",
        "contacts": "The rows of feeds.contacts_shop, feeds.contacts_web_leads, one under another, by the names of their columns.",
    }
    assert {key.path[0]: graph.get(key).group_name for key in graph.get_all_asset_keys()} == {
        "feeds": "feeds",
        "entities": "entities",
        "models": "models",
    }
    assert graph.get(AssetKey(["feeds", "contacts_web_leads"])).kinds == {"json", "duckdb"}
