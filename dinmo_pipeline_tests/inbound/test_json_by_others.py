"""JSON as others see it: Python's own parser on random and randomly damaged documents, and the JSONTestSuite."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.formats.json.read import open_json
from dinmo_pipeline.formats.reader import LINE, RECORD, FileRefused, Reject
from dinmo_pipeline.sql.identifiers import identifier
from dinmo_pipeline_tests.inbound.corpora import corpus_file, names
from dinmo_pipeline_tests.random_cases import CASES


class Written(str):
    """A number as it is written, told from a string."""


class NotStrict(ValueError):
    """What Python's parser lets pass."""


def refuse(text: str) -> None:
    raise NotStrict(text)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise NotStrict("a name twice")
    return dict(pairs)


def strictly(text: bytes) -> Any:
    """The document as Python reads it, numbers as they are written; ValueError where it is not strict JSON."""
    found = json.loads(text.decode(), parse_int=Written, parse_float=Written, parse_constant=refuse, object_pairs_hook=once)
    json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate cannot be encoded
    return found


def same(ours: str | None, theirs: Any) -> bool:
    """Whether the text of a column is the value that Python read."""
    if theirs is None or isinstance(theirs, str):
        return ours == theirs
    if isinstance(theirs, bool):
        return ours == json.dumps(theirs)
    return ours is not None and strictly(ours.encode()) == theirs


def read(path: Path) -> tuple[dict[int, dict[str, Any]], list[Reject]]:
    """The rows by the number of their record, and the rejects."""
    reading = open_json(path)
    rows = {row.pop(RECORD): row for batch in reading.batches() for row in batch.to_pylist()}
    return rows, reading.rejects


def assert_same(rows: dict[int, dict[str, Any]], theirs: dict[int, dict[str, Any]]) -> None:
    """Each of our rows has the values of their record, and null for what that lacks."""
    assert rows.keys() == theirs.keys()
    for number, row in rows.items():
        del row[LINE]
        values = {identifier(name): value for name, value in theirs[number].items()}
        assert values.keys() <= row.keys()
        assert all(same(text, values.get(column)) for column, text in row.items()), (row, values)


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True, alphabet="0123456789.eE+-")
SPACE = st.sampled_from(["", "", "", " ", "  "])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('":\\{}[],\n\0'), max_size=12)
NAMES = st.sampled_from(["id", "name", "b:c", "é", "x y", "tags"])


def string(text: str, escaped: bool) -> str:
    return json.dumps(text, ensure_ascii=escaped)


STRINGS = st.builds(string, TEXTS, st.booleans())
SCALARS = NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"])


def listed(values: list[str], space: str) -> str:
    return f"[{space}" + f"{space},{space}".join(values) + f"{space}]"


def objects(values: st.SearchStrategy[str], names: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[str]:
    def one(members: dict[str, str], space: str, escaped: bool) -> str:
        return (
            f"{{{space}"
            + f"{space},{space}".join(f"{string(name, escaped)}{space}:{space}{value}" for name, value in members.items())
            + "}"
        )

    return st.builds(one, st.dictionaries(names, values, max_size=5), SPACE, st.booleans())


VALUES = st.recursive(SCALARS, lambda inner: st.builds(listed, st.lists(inner, max_size=4), SPACE) | objects(inner), max_leaves=8)
DOCUMENTS = st.lists(objects(VALUES, NAMES), min_size=1, max_size=12)


@settings(max_examples=int(150 * CASES))
@given(DOCUMENTS, st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_lines_hold_what_python_reads(tmp_path_factory: pytest.TempPathFactory, records: list[str], ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.json"
    path.write_bytes(ending.join(records).encode())

    rows, rejects = read(path)

    assert rejects == []
    assert_same(rows, {number: strictly(text.encode()) for number, text in enumerate(records, 1)})


@settings(max_examples=int(150 * CASES))
@given(DOCUMENTS, st.sampled_from([",", ",\n", "\n,\n", " , "]))
def test_array_holds_what_python_reads(tmp_path_factory: pytest.TempPathFactory, records: list[str], between: str) -> None:
    path = tmp_path_factory.getbasetemp() / "array.json"
    path.write_bytes(f"[{between.join(records)}]".encode())

    rows, rejects = read(path)

    assert rejects == []
    assert_same(rows, dict(enumerate(strictly(path.read_bytes()), 1)))


def damaged(text: bytes, chance: random.Random) -> bytes:
    """The text with one byte or one stretch taken out, doubled, changed or moved."""
    at = chance.randrange(len(text))
    length = chance.choice([1, 1, 1, 2, 5, 40])
    part = text[at : at + length]
    other = chance.choice([b"", part * 2, *(bytes([byte]) for byte in b',}{]["\\:\n\0\xff\x0c0')])
    return text[:at] + other + text[at + length :]


def originals_of(count: int, chance: random.Random) -> list[dict[str, Any]]:
    nested = [None, {"a": [1, {"b": ":"}], "c": "}"}, [1.5, "x,y"], "plain", 'quo"te\\', 10**20]
    return [{"id": number, "name": chance.choice(nested), "total": number / 7, "tags": chance.choice(nested)} for number in range(count)]


@pytest.mark.parametrize("seed", range(int(150 * CASES)))
def test_damaged_lines_are_read_as_python_reads_them_or_rejected(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "lines.json"
    text = damaged("\n".join(map(json.dumps, originals_of(chance.choice([3, 40]), chance))).encode() + b"\n", chance)
    path.write_bytes(text)
    good: dict[int, Any] = {}
    bad = set()
    for number, line in enumerate((line for line in text.split(b"\n") if line.strip()), 1):
        try:
            found = strictly(line)
            good |= {number: found} if isinstance(found, dict) else {}
            bad |= set() if isinstance(found, dict) else {number}
        except (ValueError, RecursionError):
            bad.add(number)

    try:
        rows, rejects = read(path)
    except FileRefused:
        assert bad
        return

    assert {reject.record for reject in rejects} == bad
    assert_same(rows, good)


@pytest.mark.parametrize("seed", range(int(150 * CASES)))
def test_damaged_array_is_read_as_python_reads_it_or_refused(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    # Pieces of some records, so that the damage is met in the first one, in the last one and between two.
    monkeypatch.setattr("dinmo_pipeline.formats.json.read_blocks.PIECE_BYTES", chance.choice([64, 500, 5000]))
    path = tmp_path / "array.json"
    indent = chance.choice([None, 1])
    text = json.dumps(originals_of(chance.choice([3, 40]), chance), indent=indent).encode()
    text = text if seed % 5 == 0 else damaged(text, chance)
    path.write_bytes(text)
    try:
        theirs = strictly(text)
    except (ValueError, RecursionError):
        with pytest.raises(FileRefused):
            read(path)
        return

    rows, rejects = read(path)

    records = dict(enumerate(theirs, 1))
    assert {reject.record for reject in rejects} == {number for number, found in records.items() if not isinstance(found, dict)}
    assert_same(rows, {number: found for number, found in records.items() if isinstance(found, dict)})


REPEATED_OR_NAMELESS = (
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_empty_key.json",
)


def suite(kind: str) -> list[str]:
    return [name for name in names("json_test_suite") if name.startswith(kind)]


def content(name: str) -> bytes:
    """What a file of the suite holds; ends the test where it is not here."""
    return corpus_file(f"json_test_suite/{name}").read_bytes()


@pytest.mark.parametrize("name", suite("n_"))
def test_what_the_suite_calls_wrong_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content(name))

    with pytest.raises(FileRefused):
        read(path)


@pytest.mark.parametrize("name", suite("n_"))
def test_what_the_suite_calls_wrong_is_not_read_as_a_value(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wrong.json"
    wrong = content(name)
    path.write_bytes(b'{"id": 1}\n{"value": ' + wrong + b"}\n")

    try:
        rows, rejects = read(path)
    except FileRefused:
        return
    # A few are right inside of an object: what is wrong is that they stand alone, or are cut in lines.
    assert [row["id"] for row in rows.values()] == ["1"]
    assert rejects


@pytest.mark.parametrize("name", suite("y_"))
def test_what_the_suite_calls_right_is_read_as_records_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content(name))
    theirs = json.loads(content(name), parse_int=Written, parse_float=Written)
    all_records = theirs if isinstance(theirs, list) else [theirs]
    records = {number: record for number, record in enumerate(all_records, 1) if isinstance(record, dict)}
    if name in REPEATED_OR_NAMELESS or (all_records and not records):
        with pytest.raises(FileRefused):
            read(path)
        return

    rows, rejects = read(path)

    assert_same(rows, records)
    assert len(rows) + len(rejects) == len(all_records)


@pytest.mark.parametrize("name", suite("y_"))
def test_what_the_suite_calls_right_is_right_as_a_value(tmp_path: Path, name: str) -> None:
    value = content(name).strip()
    path = tmp_path / name
    path.write_bytes(b'[{"value": ' + value + b"}]")
    try:
        theirs = strictly(value)
    except NotStrict:
        with pytest.raises(FileRefused, match="twice"):
            read(path)
        return

    ((row,), rejects) = ([*read(path)[0].values()], read(path)[1])

    assert rejects == []
    assert same(row["value"], theirs)


@pytest.mark.parametrize("name", suite("i_"))
def test_what_the_suite_leaves_open_is_exact_or_refused(tmp_path: Path, name: str) -> None:
    value = content(name).strip()
    path = tmp_path / "open.json"
    path.write_bytes(b'[{"value": ' + value + b"}]")
    try:
        rows, _ = read(path)
    except FileRefused:
        return

    assert same(rows[1]["value"], strictly(value))
