"""The commands about inboxes: what they print, how they end, and what they leave on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..components.test_imports import GOOD
from ..components.test_inbox import DEFINITIONS
from ..inbox_projects import drop, make_inbox
from ..people import make_people
from .conftest import Dinmo


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_inbox(tmp_path, DEFINITIONS)


def test_create_makes_the_folders_and_keeps_what_lies_there(dinmo: Dinmo, root: Path) -> None:
    drop(root, "contacts_shop_20220315.csv", GOOD)

    done = dinmo("inbox", "create", "partner", project=root)

    assert (done.code, done.err) == (0, "")
    assert done.out == "partner: raw, init, samples, imports, exports are in folder . of drop; files dropped into raw are imported\n"
    assert sorted(path.name for path in (root / "drop").iterdir()) == ["exports", "imports", "init", "raw", "samples"]
    assert (root / "drop" / "raw" / "contacts_shop_20220315.csv").read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize("command", [("inbox", "create", "partnr"), ("import", "partnr")])
def test_unknown_inbox_names_the_nearest(dinmo: Dinmo, root: Path, command: tuple[str, ...]) -> None:
    done = dinmo(*command, project=root)

    assert (done.code, done.err) == (2, "there is no inbox 'partnr'; did you mean 'partner'?\n")


def test_project_without_inboxes_has_nothing_to_import(dinmo: Dinmo, tmp_path: Path) -> None:
    done = dinmo("import", project=make_people(tmp_path))

    assert done.code == 2
    assert done.err == "the project has no inbox; define an Inbox and a Feed for the files that others drop\n"


def test_import_prints_a_line_a_file_and_the_sums(dinmo: Dinmo, root: Path) -> None:
    drop(root, "contacts_shop_20220315.csv", GOOD)
    drop(root, "contacts_shop_20220316.csv", "id,name,age\n,Nobody,7\n3,Chloé,old\n4,Dana,52\n")
    drop(root, "contacts_web_leads_20220316.json", '{"id": 9}\n{"id": 10}\n')
    drop(root, "contacts_20220316.csv", GOOD)

    done = dinmo("import", project=root)
    again = dinmo("import", "partner", project=root)

    assert done.out.splitlines() == [
        "contacts_shop_20220315.csv: 2 of 2 records loaded",
        "contacts_shop_20220316.csv: 1 of 3 records loaded, 1 skipped, without a key, 1 rejected",
        "contacts_web_leads_20220316.json: 2 of 2 records loaded",
        "partner: 3 files, 5 records loaded, 1 skipped, 1 rejected",
    ]
    assert done.code == 1
    stranger, rejected = done.err.splitlines()
    assert stranger.startswith("warning: raw/contacts_20220316.csv: unmatched: no feed's name stands in it")
    assert rejected.startswith("warning: raw/contacts_shop_20220316.csv: rejected: 1 of 3 records rejected, the first, line ")
    assert [path.name for path in (root / "drop" / "raw").iterdir()] == ["contacts_20220316.csv"]
    assert (again.code, again.out, again.err) == (1, "partner: 0 files, 0 records loaded\n", done.err)


def test_refused_file_is_told_and_ends_with_one(dinmo: Dinmo, root: Path) -> None:
    drop(root, "contacts_shop_20220315.csv", GOOD)
    drop(root, "contacts_shop_20220316.csv", "id,name\n5,Eve\n")

    done = dinmo("import", project=root)
    status = dinmo("status", project=root)

    assert done.code == 1
    assert done.out.splitlines()[1].startswith("contacts_shop_20220316.csv: refused: it has no column age")
    assert done.out.splitlines()[-1] == "partner: 2 files, 2 records loaded, 0 skipped, 0 rejected; 1 refused or blocked"
    assert status.code == 1
    shop, web = (line.split("\t") for line in status.out.splitlines()[1:3])
    assert (shop[0], shop[1], *shop[3:7]) == ("contacts_shop", "refused", "contacts_shop_20220316.csv", "0", "0", "2")
    assert "; it lies in imports/refused/contacts_shop_20220316.csv; " in shop[7]
    advice = "no file yet: drop one into raw of inbox partner, then `dinmo import`"
    assert web == ["contacts_web_leads", "new", "-", "-", "-", "-", "0", advice]


def test_status_as_json_tells_of_feeds(dinmo: Dinmo, root: Path) -> None:
    drop(root, "contacts_shop_20220315.csv", GOOD)
    dinmo("import", project=root)

    done = dinmo("status", "--json", project=root)

    shop, web = json.loads(done.out)
    assert done.code == 0
    assert shop.pop("imported_at").startswith("20")
    assert shop == {
        "feed": "contacts_shop",
        "health": "ok",
        "last_file": "contacts_shop_20220315.csv",
        "rows": 2,
        "loaded": 2,
        "rejected": 0,
        "advice": "",
        "late": None,
        "troubles": [],
    }
    assert (web["feed"], web["health"], web["imported_at"]) == ("contacts_web_leads", "new", None)


def test_model_over_an_entity_that_has_no_file_yet_says_so(dinmo: Dinmo, tmp_path: Path) -> None:
    activation = (
        "---\ntype: dinmo_pipeline.Activation\nattributes: {name: out, model: people, destination: drop, folder: exports, file_name: all, "
        "format: csv, run_type: full_only, sync_mode: snapshot, mapping: {id: id}}\n"
    )
    root = make_inbox(tmp_path, DEFINITIONS + activation)

    done = dinmo("sync", "out", project=root)

    assert done.code == 1
    assert "refreshing models.people: no file was imported into entities.contacts yet; `dinmo import` takes those" in done.err


def test_import_waits_until_files_stand_still(dinmo: Dinmo, tmp_path: Path) -> None:
    root = make_inbox(tmp_path, DEFINITIONS.replace("settle_seconds: 0", "settle_seconds: 2"))
    drop(root, "contacts_shop_20220315.csv", GOOD)

    done = dinmo("import", project=root)

    assert done.out.splitlines()[0] == "contacts_shop_20220315.csv: 2 of 2 records loaded"
    # No word of Ctrl-C: nobody is at a terminal.
    assert done.err == "warning: partner: waiting 2 s for 1 file to settle\n"


def test_import_leaves_what_waits_for_its_done_file(dinmo: Dinmo, tmp_path: Path) -> None:
    root = make_inbox(tmp_path, DEFINITIONS.replace("settle_seconds: 0", "done_file: .done"))
    drop(root, "contacts_shop_20220315.csv", GOOD)

    done = dinmo("import", project=root)

    assert (done.code, done.out) == (0, "partner: 0 files, 0 records loaded\n")
    assert done.err == "warning: raw/contacts_shop_20220315.csv waits for its done file\n"


def test_blocked_file_is_imported_once_it_is_approved(dinmo: Dinmo, tmp_path: Path) -> None:
    root = make_inbox(tmp_path, DEFINITIONS.replace("columns: {age: number}", "load: replace"))
    drop(root, "contacts_shop_20220315.csv", GOOD)
    dinmo("import", project=root)
    drop(root, "contacts_shop_20220316.csv", "id,name,age\n")

    stopped = dinmo("import", project=root)
    approved = dinmo("approve", "contacts_shop", project=root)
    nothing = dinmo("approve", "contacts_shop", project=root)

    assert stopped.code == 1
    assert "`dinmo approve contacts_shop` lets this very file pass" in stopped.out
    assert approved.code == 0, approved.err
    assert approved.out.splitlines()[:2] == ["approved: contacts_shop_20220316.csv", "contacts_shop_20220316.csv: 0 of 0 records loaded"]
    assert (nothing.code, nothing.err) == (2, "no file of feed contacts_shop waits to be approved\n")


def test_refused_file_is_dismissed_and_history_keeps_who_did(dinmo: Dinmo, root: Path) -> None:
    drop(root, "contacts_shop_20220315.csv", GOOD)
    drop(root, "contacts_shop_20220316.csv", 'id,name,age\n5,"Eve,7\n')
    drop(root, "contact_shop_20220316.csv", GOOD)
    dinmo("import", project=root)

    shop, _, inbox = json.loads(dinmo("status", "--json", project=root).out)
    done = dinmo("dismiss", "contacts_shop", "contacts_shop_20220316.csv", project=root)
    again = dinmo("dismiss", "contacts_shop", project=root)
    after = dinmo("status", project=root)
    history = json.loads(dinmo("history", "contacts_shop", "--json", project=root).out)

    assert (shop["health"], [trouble["kind"] for trouble in shop["troubles"]]) == ("refused", ["refused"])
    assert (inbox["inbox"], inbox["troubles"][0]["file"]) == ("partner", "raw/contact_shop_20220316.csv")
    assert (done.code, done.out) == (0, "dismissed: contacts_shop_20220316.csv\n")
    assert again.code == 2
    assert "refused" not in after.out
    assert [entry["outcome"] for entry in history] == ["loaded", "refused", "dismissed"]
    assert history[-1]["by"]
    assert "raw/contacts_shop_20220316.csv\tdismissed" in dinmo("history", "contacts_shop", project=root).out


def test_one_inbox_that_is_away_keeps_no_other_from_being_imported(dinmo: Dinmo, tmp_path: Path) -> None:
    away = """\
---
type: dinmo_pipeline.LocalFolder
attributes: {name: away, path: away}
---
type: dinmo_pipeline.Inbox
attributes: {name: first, storage: away, settle_seconds: 0}
---
type: dinmo_pipeline.Feed
attributes: {inbox: first, entity: orders, source: pos, primary_key: [id]}
"""
    root = make_inbox(tmp_path, DEFINITIONS + away)
    (root / "away").write_text("no folder", encoding="utf-8")
    drop(root, "contacts_shop_20220315.csv", GOOD)

    done = dinmo("import", "first", "partner", project=root)
    status = dinmo("status", project=root)

    assert done.code == 1
    assert "contacts_shop_20220315.csv: 2 of 2 records loaded" in done.out
    assert done.err.startswith("first: could not list the folder ")
    assert status.code == 1
    assert "first\t-\t-\tfailed\t" in status.out
