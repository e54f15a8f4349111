"""Files that are too wide, too deep, too long or too slow are refused in words, and keep no other out."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from dinmo_pipeline.formats import decode as text
from dinmo_pipeline.formats.csv.formulas import FORMULA_STARTS, inert, restored
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.reader import FileRefused, Reject
from dinmo_pipeline.inbound import taking
from dinmo_pipeline.inbound.load import judging
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, Outcome
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts

HONEST = "contacts_shop_20240131.csv"
ROWS = "id,updated_at,age\n1,2024-01-31,31\n"
ZSTD_ROWS = pyarrow.compress(ROWS.encode(), codec="zstd", asbytes=True)
ZSTD_EMPTY = bytes.fromhex("28b52ffd2000010000")


def inbox(root: Path, limits: dict[str, int] | None = None, **feed: Any) -> LocalInbox:
    """An inbox of these limits."""
    made = LocalInbox(root, feeds=(contacts(**feed),))
    made.project = replace(made.project, limits=IntakeLimits(**(limits or {})))
    return made


def refused(made: LocalInbox, content: str | bytes, name: str = "contacts_shop_20240130.csv") -> str:
    """Why the file is refused; the honest one that comes with it, and after it, is loaded."""
    made.drop(name, content)
    made.drop(HONEST, ROWS)
    outcomes = {record.name: record for record in made.run()}
    assert outcomes[HONEST].outcome == Outcome.LOADED
    made.drop("contacts_shop_20240201.csv", ROWS)
    assert [record.outcome for record in made.run()] == [Outcome.LOADED]
    assert outcomes[name].outcome == Outcome.REFUSED
    assert len(outcomes[name].reason or "") < 2000
    return outcomes[name].reason or ""


def loaded(made: LocalInbox, content: str | bytes, name: str = "contacts_shop_20240130.csv") -> FileRecord:
    """The record of a file that is loaded."""
    made.drop(name, content)
    [record] = made.run()
    assert record.outcome == Outcome.LOADED, record.reason
    return record


def wide(columns: int, first: str = "junk") -> str:
    """A CSV file of one record and so many columns."""
    names = ["id", "updated_at", "age", *(f"{first}{number}" for number in range(columns - 3))]
    return f"{','.join(names)}\n1,2024-01-30,31{',x' * (columns - 3)}\n"


def test_file_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    told = refused(inbox(tmp_path), wide(2001))
    assert "its header has 2,001 columns, which is more than 2,000" in told
    assert "raise file_columns in [tool.dinmo.limits] of pyproject.toml" in told


def test_file_of_as_many_columns_as_are_allowed_is_loaded(tmp_path: Path) -> None:
    assert len(loaded(inbox(tmp_path), wide(2000)).columns) == 2000


def test_first_file_of_junk_columns_teaches_nothing(tmp_path: Path) -> None:
    made = inbox(tmp_path)
    made.drop("contacts_shop_20240130.csv", wide(5000))
    assert [record.outcome for record in made.run()] == [Outcome.REFUSED]
    assert made.rows("SELECT count(*) FROM duckdb_columns() WHERE column_name LIKE 'junk%'") == [(0,)]
    record = loaded(made, ROWS, HONEST)
    assert record.columns == ("id", "updated_at", "age")
    assert record.warnings == ()


def test_a_million_columns_are_refused_at_once(tmp_path: Path) -> None:
    assert "has 1,000,000 columns, which is more than 2,000" in refused(inbox(tmp_path), wide(1_000_000))


def test_name_of_a_megabyte_is_refused(tmp_path: Path) -> None:
    told = refused(inbox(tmp_path), f"id,updated_at,age,{'n' * 1_000_000}\n1,2024-01-30,31,x\n")
    assert "the name of column 4 has 1,000,000 characters, which is more than 1,000" in told
    assert "raise column_name_characters" in told


def test_columns_that_nobody_declared_may_vanish(tmp_path: Path) -> None:
    made = inbox(tmp_path)
    loaded(made, ROWS, "contacts_shop_20240129.csv")
    loaded(made, wide(300))
    record = loaded(made, ROWS, HONEST)
    assert "junk0" in record.warnings[0]


def test_refusal_lists_a_few_names_and_their_beginnings(tmp_path: Path) -> None:
    names = [f"{number}{'n' * 900}" for number in range(1900)]
    told = refused(inbox(tmp_path), f"id,updated_at,{','.join(names)}\n1,2024-01-30{',x' * 1900}\n")
    assert "it has no column age, which the feed declares; it has id, updated_at, 0nnn" in told
    assert "… and 1,882 more. Ask for the whole file" in told


def test_table_of_a_feed_grows_up_to_its_limit(tmp_path: Path) -> None:
    made = inbox(tmp_path, {"feed_columns": 600})
    loaded(made, ROWS, "contacts_shop_20240101.csv")
    loaded(made, wide(300, "a"), "contacts_shop_20240102.csv")
    loaded(made, wide(300, "b"), "contacts_shop_20240103.csv")
    told = refused(made, wide(300, "c"))
    assert "its 297 new columns would make 894 of the table, which is more than 600" in told
    assert "raise feed_columns" in told


def test_files_that_are_too_wide_together_come_apart(tmp_path: Path) -> None:
    made = inbox(tmp_path, {"feed_columns": 600})
    loaded(made, ROWS, "contacts_shop_20240101.csv")
    for day, letter in enumerate("abc", 2):
        made.drop(f"contacts_shop_2024010{day}.csv", wide(300, letter))
    assert sorted(record.outcome for record in made.run()) == [Outcome.LOADED, Outcome.LOADED, Outcome.REFUSED]


@pytest.mark.parametrize("type_", ["json", "array"])
def test_json_in_a_column_has_as_many_levels_as_a_json_file(type_: str, tmp_path: Path) -> None:
    made = inbox(tmp_path, columns=(InboundColumn("nested", type_),), max_rejected=1)

    def row(number: int, levels: int) -> str:
        return f'{number},2024-01-30,"{"[" * levels}{"]" * levels}"\n'

    record = loaded(made, "id,updated_at,nested\n" + row(1, 200) + row(2, 100_000))
    assert (record.loaded, record.rejected, record.records) == (1, 1, 2)
    [(line, column, reason)] = made.rows('SELECT line, "column", reason FROM inbound.rejects')
    assert (line, column, reason) == (3, "nested", "it is nested deeper than 200 levels, the limit json_levels")
    # Brackets beside each other are no levels.
    assert loaded(made, f'id,updated_at,nested\n3,2024-01-31,"[{"[]," * 500}[]]"\n', HONEST).loaded == 1


def test_records_without_end_are_refused(tmp_path: Path) -> None:
    told = refused(inbox(tmp_path, {"file_records": 1000}), "id,updated_at,age\n" + "1,2024-01-30,31\n" * 1001)
    assert "it has more than 1,000 records" in told
    assert "raise file_records" in told
    loaded(inbox(tmp_path / "more", {"file_records": 1000}), "id,updated_at,age\n" + "1,2024-01-30,31\n" * 1000)


@pytest.mark.parametrize("bad", ["1", "1,2024-01-30,x", "1,2024-01-30,7,8"], ids=["too short", "no number", "too long"])
def test_rejects_without_end_are_refused_whatever_is_wrong(bad: str, tmp_path: Path) -> None:
    content = "id,updated_at,age\n1,2024-01-30,31\n" + f"{bad}\n" * 10
    limits = {"rejected_records": 10}
    assert loaded(inbox(tmp_path / "at the limit", limits, max_rejected=100), content).rejected == 10
    told = refused(inbox(tmp_path / "above", limits, max_rejected=100), f"{content}{bad}\n")
    assert "rejected" in told
    assert "10" in told
    assert "raise rejected_records in [tool.dinmo.limits] of pyproject.toml" in told


def test_of_too_many_rejects_the_first_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Reject] = []

    def counting(*arguments: Any) -> Reject:
        made.append(Reject(*arguments))
        return made[-1]

    monkeypatch.setattr(judging, "Reject", counting)
    told = refused(inbox(tmp_path), "id,updated_at,age\n" + "1,2024-01-30,x\n" * 20_000)
    assert "20,000 of its 20,000 records are rejected, and max_rejected allows 200; the first, line 2, column age" in told
    assert [reject.line for reject in made] == list(range(2, 1002))


def test_rejects_are_recorded_as_they_are_whatever_their_number(tmp_path: Path) -> None:
    made = inbox(tmp_path, max_rejected=200_000)
    record = loaded(made, "id,updated_at,age\n1,2024-01-30,31\n" + "1\n,,'🙂\n" * 60_000)
    assert record.rejected == 120_000
    counted = made.rows(
        'SELECT count(*), count(DISTINCT line), min(line), max(line), count("column"), any_value(file) FROM inbound.rejects'
    )
    assert counted == [(120_000, 120_000, 3, 120_002, 60_000, "contacts_shop_20240130.csv")]
    assert made.rows("SELECT DISTINCT value FROM inbound.rejects ORDER BY ALL") == [("'🙂",), (None,)]


def test_file_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            now[0] += 1
            return now[0]

    # Time passes with each block that is read: the machine's own would make the test depend on its speed.
    monkeypatch.setattr(text, "time", Clock)
    made = inbox(tmp_path, {"file_seconds": 5})
    told = refused(made, "id,updated_at,age\n" + "1,2024-01-30,31\n" * 1_000_000)
    assert "reading it takes longer than 5 seconds" in told
    assert "raise file_seconds" in told


def test_ratio_of_a_bomb_may_be_set(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"1;2\n" * 250_000, 9) * 280)

    def unpacked_bytes(ratio: int) -> int:
        with open_plain(path, IntakeLimits(unpacked_ratio=ratio)) as stream:
            return sum(len(block) for block in iter(lambda: stream.read(1 << 20), b""))

    assert unpacked_bytes(2000) == 280_000_000
    with pytest.raises(FileRefused, match="past 50 times"):
        unpacked_bytes(50)


def test_names_of_json_are_limited_as_those_of_csv(tmp_path: Path) -> None:
    made = inbox(tmp_path, csv=None)
    made.drop("contacts_shop_20240130.json", json.dumps({"id": 1, **{f"junk{number}": 1 for number in range(2000)}}))
    made.drop("contacts_shop_20240131.json", '{"id": 1, "age": 5}')
    outcomes = {record.name: record for record in made.run()}
    assert outcomes["contacts_shop_20240131.json"].outcome == Outcome.LOADED
    assert "more than 2,000 names" in (outcomes["contacts_shop_20240130.json"].reason or "")


def test_nothing_but_the_warehouse_is_within_reach_while_files_of_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = inbox(tmp_path)
    found: list[tuple[Any, ...]] = []
    settings = "enable_external_access autoload_known_extensions autoinstall_known_extensions allow_community_extensions lock_configuration"
    wanted = ", ".join(f"current_setting('{name}')" for name in settings.split())
    real = taking.open_feed_file

    def looking(*arguments: Any, **options: Any) -> Any:
        # A second connection of one process is of the same database, with its settings.
        with duckdb.connect(str(made.project.warehouse_path)) as connection:
            found.extend(connection.execute(f"SELECT {wanted}").fetchall())
        return real(*arguments, **options)

    monkeypatch.setattr(taking, "open_feed_file", looking)
    loaded(made, ROWS)
    assert found[0] == (False, False, False, False, True)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t"])
def test_rejects_are_no_formulas(first: str, tmp_path: Path) -> None:
    made = inbox(tmp_path, max_rejected=2)
    formula = f"{first}HYPERLINK(1)"
    loaded(made, f"age,updated_at,id\n{formula},2024-01-30,1\n7,2024-01-30,2\n")
    [path] = made.folder.rglob("*.rejects.csv")
    with path.open(newline="") as stream:
        [rejected] = csv.DictReader(stream)
    assert rejected["value"] == f"'{formula}"
    assert rejected["record"] == f"'{formula},2024-01-30,1"
    # The warehouse has it as it came.
    assert made.rows("SELECT value FROM inbound.rejects") == [(formula,)]


FORMULAS = (
    "x;=1+1",
    "x;=1+1;y|-2\t+3|@SUM(1)",
    'x;"=1+1;"',
    'x; "" =1+1',
    "x;'=1+1",
    "x\n=1+1\r\n;=1",
    "x;\x01\ufeff=1",
    "＝1+1;＠SUM(1)",  # noqa: RUF001
)


def test_no_cell_of_rejects_is_a_formula_whatever_a_spreadsheet_splits_at(tmp_path: Path) -> None:
    made = inbox(tmp_path, max_rejected=20)
    records = [f'1,2024-01-30,"{text.replace(chr(34), chr(34) * 2)}",x' for text in FORMULAS]
    records.append("3,2024-01-30,7,x,y;=1+1")
    loaded(made, "id,updated_at,age,size;=1\n" + "\n".join([*records, "4,2024-01-31,7,x"]) + "\n")
    [path] = made.folder.rglob("*.rejects.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        rejected = list(csv.DictReader(stream))
    assert [restored(each["record"]) for each in rejected] == records
    assert [restored(each["value"]) for each in rejected[:-1]] == list(FORMULAS)
    for delimiter in ",;\t|":
        with path.open(newline="", encoding="utf-8") as stream:
            cells = [cell for line in csv.reader(stream, delimiter=delimiter) for cell in line]
        bare = [cell for cell in cells if cell.lstrip("\x01\ufeff\"' \t").startswith(FORMULA_STARTS) and not cell.startswith("'")]
        assert bare == [], delimiter


def test_what_rejects_have_is_restored_whatever_it_was_and_as_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
    [recipe] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    letters = random.Random(21)
    for _ in range(20_000):
        text = "".join(letters.choice("=-;|'\" \t\r\nxé") for _ in range(letters.randrange(9)))
        assert restored(inert(text) or "") == text
    for text in FORMULAS:
        names = {"text": inert(text)}
        exec(recipe, names)
        assert names["came"] == text


def test_file_of_nothing_but_records_that_are_too_deep_names_the_limit(tmp_path: Path) -> None:
    made = LocalInbox(tmp_path, feeds=(contacts(columns=(), csv=None),))
    made.drop("contacts_shop_20240130.json", '{"id": 1, "deep": ' + "[" * 300 + "]" * 300 + "}\n")
    [record] = made.run()
    assert record.reason is not None
    assert "is nested deeper than 200 levels, the limit json_levels" in record.reason


@pytest.mark.parametrize(
    ("ending", "content", "empty"),
    [
        (".gz", gzip.compress(ROWS.encode()), gzip.compress(b"")),
        # An empty frame, and one that is to be passed over.
        (".zst", ZSTD_ROWS, ZSTD_EMPTY),
        (".zst", ZSTD_ROWS, bytes.fromhex("502a4d1800000000")),
    ],
    ids=["gzip", "zstd", "skippable"],
)
def test_archives_without_content_have_an_end(ending: str, content: bytes, empty: bytes, tmp_path: Path) -> None:
    reason = refused(inbox(tmp_path), content + empty * 2_000_000, name=f"contacts_shop_20240130.csv{ending}")
    assert "more than 20,000" in reason
    assert "without content" in reason


@pytest.mark.parametrize(
    ("ending", "content", "empty"),
    [(".gz", gzip.compress(ROWS.encode()), gzip.compress(b"")), (".zst", ZSTD_ROWS, ZSTD_EMPTY)],
    ids=["gzip", "zstd"],
)
def test_some_archives_without_content_are_passed_over(ending: str, content: bytes, empty: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes((content + empty * 10_000) * 3)
    with open_plain(path) as file:
        assert file.read() == ROWS.encode() * 3
