"""What was written beside the files of an inbox, and what is remembered of it, on a server and here."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dinmo_pipeline.alerts.alert_state import AlertStateFile, activation_alert_state
from dinmo_pipeline.erasure.inboxes import InboxTexts
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.texts import AlertTexts
from dinmo_pipeline.errors import BusyError, StateError
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.inbox.folders import Folders
from dinmo_pipeline.inbound.inbox.scan_state import ScanState
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.inbound.troubles.troubles import Trouble, save_troubles
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.ledger.high_water_marks import Mark, Marks
from dinmo_pipeline_tests.cli.conftest import Dinmo
from dinmo_pipeline_tests.inbox_projects import INBOX, drop, feed, make_inbox
from dinmo_pipeline_tests.people import activation, make_people

TROUBLE = Trouble(
    inbox="partner", feed=None, file=None, kind="refused", reason="", without_data="", advice="", since=datetime(2025, 1, 1, tzinfo=UTC)
)
EMAIL, OTHER = "ana.planted@example.com", "bea@example.com"


@pytest.fixture
def project(tmp_path: Path, dinmo: Dinmo) -> Project:
    """An inbox with rejected records of two people, and a file that was refused because of a value."""
    root = make_inbox(tmp_path, INBOX + feed(columns="{age: number}", max_rejected="2"))
    drop(root, "contacts_shop_20250101.csv", f'id,email,age\n1,{OTHER},1\n2,{OTHER},old\n3,{EMAIL},"{EMAIL}"\n')
    drop(root, "contacts_shop_20250102.csv", "id,email,age\n" + f"4,{EMAIL},{EMAIL}\n" * 3)
    drop(root, "contacts_shop_20250103.csv", f'id,email,"age" {EMAIL}\n5,{EMAIL},1\n')
    dinmo("import", project=root)
    return load_project(root)


def forget(project: Project, *, dry_run: bool = False) -> list[Receipt]:
    # Described here, since from then on messages leave the values out.
    person = Person.described([f"email={EMAIL}"])
    return [*InboxTexts(project, "partner").forget(person, dry_run=dry_run), *AlertTexts(project).forget(person, dry_run=dry_run)]


def having(project: Project) -> set[str]:
    """Files of ours that have the person's e-mail; those of the sender are not ours."""
    ours = [
        *(project.home / "inbound").rglob("*.json"),
        *(project.root / "drop").rglob("*.rejects.csv"),
        *(project.root / "drop").rglob("*.txt"),
    ]
    return {path.name for path in ours if EMAIL in path.read_text(encoding="utf-8")}


def test_lines_of_the_person_are_emptied_and_those_of_others_stay(project: Project) -> None:
    sent = {path: path.read_bytes() for path in (project.root / "drop").rglob("*.csv") if "rejects" not in path.name}
    before = having(project)
    assert {"contacts_shop_20250101.csv.rejects.csv", "contacts_shop_20250103.csv.reason.txt", "troubles.json"} <= before
    told = forget(project, dry_run=True)
    assert having(project) == before
    done = forget(project)

    assert having(project) == set()
    assert [(each.where, each.found) for each in told] == [(each.where, each.found) for each in done]
    (path,) = (project.root / "drop").rglob("contacts_shop_20250101.csv.rejects.csv")
    lines = list(csv.DictReader(path.read_text().splitlines()))
    assert [(line["line"], line["value"], line["record"]) for line in lines] == [("3", "old", f"2,{OTHER},old"), ("4", "", "")]
    assert {path: path.read_bytes() for path in sent} == sent
    assert [trouble.kind for trouble in open_troubles(project, "partner")] == ["refused", "refused", "rejected"]
    assert [path.name for path in (project.root / "drop").rglob(".*")] == []
    assert forget(project) == []


def test_inbox_that_is_imported_from_is_told_as_busy(project: Project) -> None:
    with InboxPass(project, "partner"), pytest.raises(BusyError):
        forget(project)


def test_failure_that_quotes_a_key_is_emptied_and_stays_a_failure(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes"))
    definitions = root / "defs/people/defs.yaml"
    query = "SELECT 'ana.planted@example.com' AS id, name, age FROM 'people.parquet'"
    definitions.write_text(definitions.read_text().replace("SELECT * FROM 'people.parquet'", query))
    assert dinmo("sync", "changes", project=root).code == 1
    project = load_project(root)
    before = activation_alert_state(project, "changes").read()
    assert before.failure is not None
    assert EMAIL in before.failure.text

    person = Person.described([f"email={EMAIL}"])
    assert [(each.found > 0, each.done) for each in AlertTexts(project).forget(person, dry_run=False)] == [(True, "emptied")]
    after = activation_alert_state(project, "changes").read()
    assert after.failure is not None
    assert (EMAIL in json.dumps(after.failure.text), after.failure.at) == (False, before.failure.at)


def having_bytes(project: Project) -> set[str]:
    ours = [*(project.home / "inbound").rglob("*.json*"), *(project.root / "drop").rglob("*.rejects.csv")]
    ours += (project.root / "drop").rglob("*.reason.txt")
    return {path.name for path in ours if EMAIL.encode() in path.read_bytes()}


def rejects_of(project: Project) -> Path:
    (path,) = (project.root / "drop").rglob("contacts_shop_20250101.csv.rejects.csv")
    return path


def test_record_of_any_length_and_any_bytes_are_emptied_and_others_come_back_as_they_were(project: Project) -> None:
    rejects = rejects_of(project)
    (reason,) = (project.root / "drop").rglob("contacts_shop_20250103.csv.reason.txt")
    long = b"\xff" + b"x" * 200_000
    before = rejects.read_bytes()
    rejects.write_bytes(before + b"7,age,old,no number," + long + b"\r\n8,age,old,no number," + long + b" " + EMAIL.encode() + b",more\r\n")
    reason.write_bytes(reason.read_bytes() + b"\r\n\xff\n")
    done = forget(project)
    assert having_bytes(project) == set()
    assert rejects.read_bytes().endswith(b"7,age,old,no number," + long + b"\r\n8,age,,(forgotten),,\r\n")
    assert reason.read_bytes().endswith(b"\r\n\xff\n")
    assert [each.found for each in done if rejects.name in each.where] == [2]


def test_file_that_others_made_too_long_for_memory_is_told_and_stays(project: Project) -> None:
    rejects = rejects_of(project)
    (reason,) = (project.root / "drop").rglob("contacts_shop_20250103.csv.reason.txt")
    small = replace(project, limits=IntakeLimits(record_bytes=10_000))
    for added in ("x" * 50_000, '"' + "x\n" * 50_000):
        before = rejects.read_bytes()
        rejects.write_bytes(before + added.encode())
        reason.write_bytes(b"x" * 1_000_001)
        done = {each.where: each for each in forget(small) if each.what == "failed"}
        assert {where.rpartition("/")[2] for where in done} == {rejects.name, reason.name}
        assert all("Then forget again" in each.left and EMAIL not in each.left for each in done.values())
        assert rejects.read_bytes() == before + added.encode()
        rejects.write_bytes(before)


def test_file_that_grows_meanwhile_is_fetched_no_further_and_keeps_no_other_from_being_emptied(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejects, fetch = rejects_of(project), Folders.fetch

    def grow(self: Folders, relative: str, local_path: Path, size: int | None = None) -> bool:
        if relative.endswith(rejects.name):
            with rejects.open("ab") as stream:
                stream.write(b"9,age,old,no number,x\r\n")
        return fetch(self, relative, local_path, size)

    monkeypatch.setattr(Folders, "fetch", grow)
    done = forget(project)
    assert [each.what for each in done if rejects.name in each.where] == ["failed"]
    assert having_bytes(project) == {rejects.name}
    assert "lines" in {each.what for each in done}


def test_receipts_are_shown_before_what_stops_the_rest(project: Project, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AlertTexts, "forget", stop)
    ran = dinmo("forget", f"email={EMAIL}", project=project.root)
    assert ran.code != 0
    assert "\nlines\tinbox partner: imports/" in ran.out


def test_drafts_that_killed_writers_left_are_deleted_and_told(project: Project, tmp_path: Path) -> None:
    inbox, gone = project.home / "inbound" / "partner", project.home / "state" / "activations" / "gone"
    gone.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    drafts = [inbox / "troubles.json.draft", inbox / "looks.json.draft", gone / "standing.draft", inbox / "standing.json.draft"]
    for draft in drafts:
        draft.write_text(f'{{"failure": "{EMAIL}')
    link = gone / "standing.json.draft"
    link.symlink_to(outside)
    told = forget(project, dry_run=True)
    assert all(draft.exists() for draft in drafts)
    done = forget(project)
    assert [each.where for each in told] == [each.where for each in done]
    assert {each.where for each in done if each.what == "draft"} == {str(path) for path in (*drafts, link)}
    assert not any(path.is_symlink() or path.exists() for path in (*drafts, link))
    assert outside.read_text() == "not ours"


def test_draft_is_written_through_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    writers: dict[str, Callable[[], object]] = {
        "standing.json.draft": lambda: _fail(AlertStateFile(tmp_path)),
        "troubles.json.draft": lambda: save_troubles(tmp_path / "troubles.json", [TROUBLE]),
        "looks.json.draft": lambda: _look(tmp_path / "looks.json"),
    }
    for draft, write in writers.items():
        (tmp_path / draft).symlink_to(outside)
        with pytest.raises((OSError, StateError)):
            write()
        assert outside.read_text() == "not ours", draft
    with pytest.raises(StateError):
        _mark(tmp_path, outside)
    assert outside.read_text() == "not ours"


def _fail(alert_state: AlertStateFile) -> None:
    with alert_state.changed() as draft:
        draft.could_not_tell("ana", "away")


def _look(path: Path) -> None:
    state = ScanState(path)
    state.taking = True
    state.save()


def _mark(home: Path, outside: Path) -> None:
    marks, mark = Marks(home, "place"), Mark(1, "a", 1)
    marks.keep("export", mark)
    (kept,) = (home / "marks").rglob("export.json")
    kept.with_name("export.json.draft").symlink_to(outside)
    marks.keep("export", mark)


@pytest.mark.parametrize("name", ['Zoë "Zed" d\'Arc', "Zoë;=Planted", "Zoë\tPlanted \U0001f600"])
def test_record_that_writes_the_person_with_escapes_is_emptied(name: str, tmp_path: Path, dinmo: Dinmo) -> None:
    json_feed = feed(source="web", format="json", columns="{age: number}", max_rejected="2")
    root = make_inbox(tmp_path, INBOX + feed(columns="{age: number}", max_rejected="2") + json_feed)
    quoted = name.replace('"', '""')
    drop(root, "contacts_shop_20250101.csv", f'id,name,age\n1,"{quoted}",old\n2,Bea,old\n3,Cleo,1\n')
    records = [{"id": 1, "name": name, "age": "old"}, {"id": 2, "name": "Bea", "age": "old"}, {"id": 3, "name": "Cleo", "age": 1}]
    drop(root, "contacts_web_20250101.json", json.dumps(records))
    dinmo("import", project=root)
    person = Person.described([f"name={name}"])
    done = list(InboxTexts(load_project(root), "partner").forget(person, dry_run=False))
    assert sorted(each.found for each in done if each.what == "lines") == [1, 1]
    paths = list((root / "drop").rglob("*.rejects.csv"))
    assert len(paths) == 2
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert ("Zo" in text, "Bea" in text, text.count("(forgotten)")) == (False, True, 1)


@pytest.mark.parametrize("line", [0, 1])
def test_rejects_of_a_million_columns_are_none_of_ours(line: int, project: Project) -> None:
    lines = ["line,column,value,reason,record", f"1,a,b,c,{EMAIL}"]
    lines[line] = "," * 1_000_000
    (planted,) = (project.root / "drop").rglob("contacts_shop_20250101.csv.rejects.csv")
    planted.write_text("\n".join(lines))
    receipts = {each.where.rpartition("/")[2]: each for each in forget(project)}
    assert "it has a line of 1,000,001 fields, as no version of this product writes one" in receipts[planted.name].left
    assert having(project) <= {planted.name}
