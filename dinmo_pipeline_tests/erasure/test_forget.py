"""`dinmo forget` on a project with everything on: afterwards no file below its home, and none that it wrote, has a byte of the person."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance

from dinmo_pipeline.cli import forgetting
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline_tests.cli.conftest import Dinmo
from dinmo_pipeline_tests.inbox_projects import drop
from dinmo_pipeline_tests.people import FIRST, activation, make_people, write_people

KEY, EMAIL = "C-planted-4711", "ana.planted@example.com"
OTHERS = {f"C-{n}": f"person{n}@example.com" for n in range(1, 40)}

DEFINITIONS = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.LocalFolder
attributes: {name: drop, path: drop}
---
type: dinmo_pipeline.Inbox
attributes: {name: partner, storage: drop, settle_seconds: 0}
---
type: dinmo_pipeline.Feed
attributes: {inbox: partner, entity: contacts, source: shop, primary_key: [id], columns: {age: number}, max_rejected: "100%"}
---
type: dinmo_pipeline.Feed
attributes: {inbox: partner, entity: events, source: web, primary_key: [id], format: json, load: append}
---
type: dinmo_pipeline.Model
attributes:
  name: customers
  primary_key: [customer_id]
  sql: "SELECT id AS customer_id, email, age FROM feeds.contacts_shop UNION ALL SELECT id, email, 1 FROM read_csv('crm.csv', header = true)"
---
type: dinmo_pipeline.Segment
attributes: {name: grown, model: customers, where: "age >= 1"}
"""
ACTIVATIONS = {
    "triple": ("model: customers", "csv", "full_then_delta", "difference"),
    "parts": ("segment: grown", "{type: json, compression: gzip}", "full_then_delta", "difference"),
    "changes": ("model: customers", "ndjson", "full_then_delta", "upsert"),
    "newcomers": ("model: customers", "parquet", "full_then_delta", "insert"),
    "everyone": ("segment: grown", "xml", "full_only", "snapshot"),
}


def make_shop(root: Path) -> Path:
    texts = [DEFINITIONS]
    for name, (source, format_, run_type, mode) in ACTIVATIONS.items():
        texts.append(
            "---\ntype: dinmo_pipeline.Activation\nattributes:\n"
            f"  {{name: {name}, {source}, destination: out, folder: {name}, file_name: '{{x}}_{{ms}}', format: {format_},\n"
            f"   run_type: {run_type}, sync_mode: {mode}, mapping: {{customer_id: id, email: mail}}, manifest: true"
            f"{', max_rows: 25' if name == 'parts' else ''}}}\n"
        )
    (root / "defs" / "shop").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\npreview_rows = 50\n", encoding="utf-8")
    (root / "defs" / "shop" / "defs.yaml").write_text("".join(texts), encoding="utf-8")
    write_crm(root, {KEY: EMAIL, "C-crm": "crm@example.com"})
    return root


def write_crm(root: Path, people: dict[str, str]) -> None:
    (root / "crm.csv").write_text("id,email\n" + "".join(f"{key},{email}\n" for key, email in people.items()), encoding="utf-8")


def contacts(people: dict[str, str], bad: str = "") -> str:
    return "id,email,age\n" + "".join(f"{key},{email},{len(key)}\n" for key, email in people.items()) + bad


def live(root: Path, dinmo: Dinmo) -> None:
    """Three days: files with rejects and one that is refused come in, everything is delivered."""
    drop(
        root, "contacts_shop_20250101.csv", contacts(OTHERS | {KEY + "b": EMAIL}, bad=f"C-bad,{EMAIL},old\nC-bad2,other@example.com,old\n")
    )
    drop(root, "events_web_20250101.json", json.dumps([{"id": key, "email": EMAIL} for key in (KEY, "E-1", "E-2")]))
    dinmo("import", project=root)
    assert dinmo("sync", "--all", project=root).code == 0
    drop(root, "contacts_shop_20250102.csv", contacts({"C-new": "new@example.com", KEY + "b": EMAIL}))
    drop(root, "contacts_shop_20250103.csv", f"id,email,age\nC-9,x,1\n{KEY},{EMAIL},1,more\n" + f'C-8,"{EMAIL}')
    dinmo("import", project=root)
    for name in ("triple", "changes", "newcomers", "parts"):
        assert dinmo("sync", name, project=root).code == 0
    write_crm(root, {KEY: EMAIL, "C-crm": "crm@example.com", "C-late": "late@example.com"})
    assert dinmo("sync", "--all", project=root).code == 0


def places_of(root: Path, *words: str) -> set[str]:
    """Every file below the project that has one of these, compressed or not, but for what was delivered and what was sent in."""
    found = set()
    for path in files_kept(root):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            with duckdb.connect() as connection:
                content += str(connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()).encode()
        if any(word.encode() in content for word in words):
            found.add(path.relative_to(root).as_posix())
    return found


def files_kept(root: Path) -> Iterator[Path]:
    for path in (root / ".dinmo").rglob("*"):
        if path.is_file():
            yield path
    for path in (root / "drop").rglob("*"):
        if path.name.endswith((".rejects.csv", ".reason.txt")):
            yield path


def rows_of(root: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(root / ".dinmo" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_no_byte_of_the_person_is_left_and_everybody_else_is(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_shop(tmp_path)
    live(root, dinmo)
    before = places_of(root, KEY, EMAIL)
    others = "SELECT customer_id, email FROM models.customers WHERE email <> 'ana.planted@example.com' ORDER BY ALL"
    kept = rows_of(root, others)
    for kind in ("warehouse.duckdb", "/snapshots/", "index.db", "rejects.csv"):
        assert any(kind in place for place in before), (kind, before)

    still = dinmo("forget", f"email={EMAIL}", f"customer_id={KEY}", f"id={KEY}", project=root)
    assert still.code == 1
    assert "models.customers still gives the person" in still.out
    assert EMAIL not in still.out + still.err

    write_crm(root, {"C-crm": "crm@example.com", "C-late": "late@example.com"})
    dry = dinmo("forget", "--dry-run", f"email={EMAIL}", project=root)
    assert (dry.code, "would be" in dry.out) == (0, True)
    assert any("/snapshots/" in place for place in places_of(root, EMAIL))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"email={EMAIL}\ncustomer_id={KEY}\nid={KEY}\n"))
    done = dinmo("forget", "-", project=root)

    assert done.code == 0, done.out + done.err
    assert EMAIL not in done.out + done.err
    assert places_of(root, EMAIL) == set()
    # The keys alone, for the next deltas.
    assert {place.split("/")[3] for place in places_of(root, KEY) if "/snapshots/" in place} <= {"triple", "parts"}
    assert rows_of(root, others) == kept
    assert rows_of(root, "SELECT count(*) FROM entities.contacts") == [(len(OTHERS) + 1,)]

    assert dinmo("sync", "--all", project=root).code == 0
    newest = sorted((root / "out" / "triple").glob("*_removed.csv"))[-1]
    removed = list(csv.reader(newest.read_text().splitlines()))
    assert sorted(removed[1:]) == [[KEY, ""], [KEY + "b", ""]]
    assert rows_of(root, others) == kept
    last = dinmo("forget", f"email={EMAIL}", f"customer_id={KEY}", f"id={KEY}", project=root)
    assert last.code == 0, last.out
    assert places_of(root, KEY, EMAIL) == set()
    assert dinmo("sync", "--all", project=root).code == 0
    assert places_of(root, KEY, EMAIL) == set()


def started_again(job: str) -> DagsterEvent:
    return DagsterEvent(DagsterEventType.RUN_START.value, job)


def small_project(root: Path, dinmo: Dinmo) -> Path:
    make_people(root, activation("changes") + activation("triple", sync_mode="difference"), settings="preview_rows = 5\n")
    assert dinmo("sync", "--all", project=root).code == 0
    return root


@pytest.mark.parametrize("text", ["nobody.planted", "=nobody.planted", "id="])
def test_description_that_is_none_is_a_wrong_call_and_does_not_come_back(text: str, tmp_path: Path, dinmo: Dinmo) -> None:
    ran = dinmo("forget", text, project=make_people(tmp_path))
    assert (ran.code, "description 1: it is none" in ran.err) == (2, True)
    assert "nobody.planted" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("id=1\r\nname=Ana\r\n\r\n", ["1", "Ana"]),
        ("id=1\rname=Ana\r", ["1", "Ana"]),
        ("\n \nid=1\nname=Ana", ["1", "Ana"]),
        # What else other programs take for the end of a line is a part of it.
        *((f"name=Ana{end}Bea\n", [f"Ana{end}Bea"]) for end in "\x0b\x0c\x1c\x85\u2028\u2029"),
        ("name=  Ana \n", ["  Ana "]),
        ("\ufeffname=Ana\n", ["Ana"]),
    ],
)
def test_lines_of_standard_input_are_descriptions_whatever_separates_them(
    text: str, values: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a terminal or a pipe gives it: Python makes one line ending of three, unless it is told not to.
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    assert [value for each in Person.described(forgetting._lines()).descriptions for _, value in each.values] == values


def test_standard_input_that_is_no_utf8_or_has_nobody_is_a_wrong_call(
    tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_people(tmp_path)
    for content, said in ((b"name=\xff\n", "it is no UTF-8"), (b"\n \r\n", "name the person by what stands in columns")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        ran = dinmo("forget", "-", project=root)
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_column_that_nothing_has_is_told(tmp_path: Path, dinmo: Dinmo) -> None:
    ran = dinmo("forget", "mail=nobody.planted@example.com", "name=Bruno Nobody", project=small_project(tmp_path, dinmo))
    assert ran.code == 1
    assert "description\tmail\t0\tleft as it is\tno table and no snapshot has such columns" in ran.out
    assert "nobody.planted" not in ran.out + ran.err
    assert "snapshots\tchanges" not in ran.out


def test_nobody_and_short_values_are_told(tmp_path: Path, dinmo: Dinmo) -> None:
    ran = dinmo("forget", "id=99", project=small_project(tmp_path, dinmo))
    assert ran.code == 0
    assert "\nnothing that is kept has such a record\n" in ran.out
    assert "a value of fewer than 4 characters is not looked for in texts" in ran.out


def test_activation_that_fails_keeps_no_other_from_being_emptied(tmp_path: Path, dinmo: Dinmo) -> None:
    root = small_project(tmp_path, dinmo)
    write_people(root, FIRST[:1])
    (first, *_) = sorted((root / ".dinmo/state/activations/changes/log").glob("*.json"))
    first.write_text("{")
    ran = dinmo("forget", "name=Chloé", project=root)
    assert ran.code == 1
    assert "failed\tactivation changes" in ran.out
    assert "snapshots\ttriple\t1\ttaken out of 1 file" in ran.out


def test_run_at_work_is_left_with_a_word_and_history_tells_who_forgot(
    tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = small_project(tmp_path, dinmo)
    write_people(root, FIRST[:2])
    with DagsterInstance.from_config(str(root / ".dinmo/dagster")) as instance:
        (run, *_) = instance.get_runs()
        instance.run_storage.handle_run_event(run.run_id, started_again(run.job_name))
    monkeypatch.setenv("DINMO_USER", "ana@office")
    ran = dinmo("forget", "name=Chloé", project=root)
    assert "they are at work: forget again when they have ended" in ran.out
    told = dinmo("history", "triple", project=root).out.splitlines()[-1].split("\t")
    assert told[1:4] == ["1", "forgotten", "ana@office"]


def test_snapshots_of_an_activation_that_is_defined_no_more_are_told(tmp_path: Path, dinmo: Dinmo) -> None:
    root = small_project(tmp_path, dinmo)
    write_people(root, FIRST[:2])
    make_people(root, activation("triple", sync_mode="difference"), people=FIRST[:2])
    ran = dinmo("forget", "name=Chloé", project=root)
    assert ran.code == 1
    assert "snapshots\tchanges\t0\tleft as it is\tit is defined no more, and its snapshots were not looked into (1): delete" in ran.out


def test_rows_that_a_killed_query_left_are_deleted_or_told(tmp_path: Path, dinmo: Dinmo) -> None:
    root = small_project(tmp_path, dinmo)
    old, young, of_sync = (root / ".dinmo/staging" / name / "spilled" / "rows" for name in (".look-old", ".look-young", "changes"))
    for path in (old, young, of_sync):
        path.parent.mkdir(parents=True)
        path.write_text(EMAIL)
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old.parent.parent, (two_days_ago, two_days_ago))
    ran = dinmo("forget", "name=nobody at all", project=root)
    assert ran.code == 1
    assert f"working folder\t{young.parent.parent}\t0\tleft as it is\tsomething looks at rows there" in ran.out
    assert [path.exists() for path in (old, young, of_sync)] == [False, True, False]
