"""Every JSON case that files from others were seen or feared to have, and what becomes of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.formats.json.read import open_json
from dinmo_pipeline.formats.reader import LINE, RECORD, FileRefused, Reject
from dinmo_pipeline.intake_limits import IntakeLimits


class Outcome:
    """A file that was read to its end. `rows` are the columns' values, `places` the number and line of each."""

    def __init__(self, path: Path, key: Collection[str] = (), **limits: int) -> None:
        self.reading = open_json(path, key=key, limits=IntakeLimits(**limits))
        records = [row for batch in self.reading.batches() for row in batch.to_pylist()]
        self.columns = self.reading.columns
        self.places = [(row.pop(RECORD), row.pop(LINE)) for row in records]
        self.rows: list[dict[str, Any]] = records
        self.rejects: list[Reject] = self.reading.rejects
        self.warnings: list[str] = self.reading.warnings


def write(folder: Path, content: bytes | str, name: str = "orders_pos_20240131.json") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: bytes | str, *, key: Collection[str] = (), **limits: int) -> Outcome:
    return Outcome(write(folder, content), key, **limits)


def refusal(folder: Path, content: bytes | str, *, key: Collection[str] = (), **limits: int) -> str:
    with pytest.raises(FileRefused) as caught:
        read(folder, content, key=key, **limits)
    return str(caught.value)


LAYOUTS = {
    "lines": '{"id": 1, "name": "a"}\n{"id": 2, "name": null}\n',
    "lines without a last newline": '{"id": 1, "name": "a"}\n{"id": 2, "name": null}',
    "lines of Windows": '{"id": 1, "name": "a"}\r\n{"id": 2, "name": null}\r\n',
    "lines of an old Mac": '{"id": 1, "name": "a"}\r{"id": 2, "name": null}\r',
    "blank lines": '\n\n{"id": 1, "name": "a"}\n  \n\r\n{"id": 2, "name": null}\n\n',
    "array in a line": '[{"id": 1, "name": "a"}, {"id": 2, "name": null}]',
    "array, an object a line": '[\n{"id": 1, "name": "a"},\n{"id": 2, "name": null}\n]\n',
    "array, indented": json.dumps([{"id": 1, "name": "a"}, {"id": 2, "name": None}], indent=2),
    "array with spaces everywhere": ' \n[ { "id" : 1 , "name" : "a" } , { "id" : 2 , "name" : null } ] \n ',
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_layout_is_told_by_content(tmp_path: Path, content: str, bom: bytes) -> None:
    outcome = read(tmp_path, bom + content.encode(), key=["id"])

    assert outcome.columns == ("id", "name")
    assert outcome.rows == [{"id": "1", "name": "a"}, {"id": "2", "name": None}]
    assert [number for number, _ in outcome.places] == [1, 2]
    assert (outcome.rejects, outcome.warnings) == ([], [])


@pytest.mark.parametrize(
    "content",
    ['{"id": 1, "name": "a"}', '{"id": 1,\n "name": "a"}\n', '\n{\n"id"\n:\n1\n,"name":"a"\n}\n'],
    ids=["in a line", "in two lines", "in many lines"],
)
def test_one_object_is_one_record(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content).rows == [{"id": "1", "name": "a"}]


def test_lines_are_where_records_start(tmp_path: Path) -> None:
    lines = read(tmp_path, '\n{"id":1}\n\n{"id":2}\r\n\r\n{"id":3}\r{"id":4}').places
    array = read(tmp_path, '\r\n[\n  {\n "id":1},{"id":\r2}\n\n,\r\n{"id":3}\n]').places

    assert lines == [(1, 2), (2, 4), (3, 6), (4, 7)]
    assert array == [(1, 3), (2, 4), (3, 8)]


@pytest.mark.parametrize("layout", ["{}\n", "[{}]"], ids=["lines", "array"])
def test_values_are_as_they_are_written(tmp_path: Path, layout: str) -> None:
    numbers = ["12345678901234567890123", "1e400", "-0.0", "-0", "1.10", "1E+2", "9" * 5000, "0.1234567890123456789012"]
    members = ", ".join(f'"n{index}": {number}' for index, number in enumerate(numbers))
    nested = '{"b": [1.10, -0, "\\u00e9"], "c": {}}'
    content = (
        f'{{{members}, "t": true, "f": false, "nothing": null, "word": "null", "empty": "", "escaped": "\\u00e9\\n\\"\\\\\\ud83d\\ude00", '
        f'"plain": "é:,}}]", "nested": {nested}}}'
    )

    (row,) = read(tmp_path, layout.replace("{}", content)).rows

    assert [row[f"n{index}"] for index in range(len(numbers))] == numbers
    assert (row["t"], row["f"], row["nothing"], row["word"], row["empty"]) == ("true", "false", None, "null", "")
    assert (row["escaped"], row["plain"], row["nested"]) == ('é\n"\\😀', "é:,}]", nested)


def test_columns_are_those_of_all_records_in_order_of_appearance(tmp_path: Path) -> None:
    late = "".join(f'{{"id": {number}}}\n' for number in range(100_000))
    outcome = read(tmp_path, late + '{"First Name": "a", "id": 1}\n{"x": {"y": 1}, "id": 2}\n')

    assert outcome.columns == ("id", "first_name", "x")
    assert outcome.rows[-2:] == [{"id": "1", "first_name": "a", "x": None}, {"id": "2", "first_name": None, "x": '{"y": 1}'}]
    assert len(outcome.rows) == 100_002


def test_type_that_changes_late_changes_nothing(tmp_path: Path) -> None:
    rows = [{"id": str(number)} for number in range(60_000)]
    content = "\n".join(map(json.dumps, [*rows, {"id": 7.50}, {"id": ["x"]}, {"id": 'a"b'}]))

    assert [row["id"] for row in read(tmp_path, content).rows] == [*(row["id"] for row in rows), "7.5", '["x"]', 'a"b']


def test_one_column_may_have_two_names_in_two_records_but_not_in_one(tmp_path: Path) -> None:
    outcome = read(tmp_path, '{"First Name": "a"}\n{"first_name": "b"}\n{"FIRST-NAME": "c", "First Name": "d"}')

    assert outcome.rows == [{"first_name": "a"}, {"first_name": "b"}]
    assert [(reject.record, reject.line) for reject in outcome.rejects] == [(3, 3)]
    assert "two names for the column first_name" in outcome.rejects[0].reason
    assert "two names for the column first_name" in refusal(tmp_path, '[{"a": 1, "First Name": "a", "first_name": "b"}]')


@pytest.mark.parametrize("name", ["_file", "_line", "_loaded_at", "_Updated_At", "_record", "_dinmo_x", "", "!?"])
def test_name_that_no_column_can_have_refuses_the_file(tmp_path: Path, name: str) -> None:
    assert repr(name) in refusal(tmp_path, '{"id": 1}\n' + json.dumps({"id": 2, name: 1}))


BAD_ARRAYS = {
    "cut in a string": ('[{"id": 1}, {"id": "ab', "ends too early"),
    "cut in an object": ('[{"id": 1}, {"id": 2', "ends too early"),
    "cut after an object": ('[{"id": 1}, {"id": 2}', "ends too early"),
    "cut after a comma": ('[{"id": 1}, {"id": 2},', "ends too early"),
    "trailing comma": ('[{"id": 1},\n {"id": 2},]', "(line 2, byte 23"),
    "trailing comma in an object": ('[{"id": 1,}]', "trailing comma in object (line 1, byte 10"),
    "leading comma": ('[,{"id": 1}]', "(line 1, byte 1"),
    "two commas": ('[{"id": 1},,{"id": 2}]', "(line 1, byte 11"),
    "no comma": ('[{"id": 1}\n{"id": 2}]', "(line 2, byte 11"),
    "garbage after it": ('[{"id": 1}]\nx', "is followed by more (line 2, byte 12"),
    "two arrays": ('[{"id": 1}]\n[{"id": 2}]', "is followed by more (line 2, byte 12"),
    "two arrays of several": ('[{"id": 1},{"id": 2}]\n[{"id": 3},{"id": 4}]', "is followed by more (line 2, byte 22"),
    "empty array and more": ("[]\n{}", "is followed by more (line 2, byte 3"),
    "form feed": ('[{"id": 1},\f{"id": 2}]', "(line 1, byte 11"),
    "NaN": ('[{"id": NaN}]', "(line 1, byte 8"),
    "Infinity": ('[{"id": -Infinity}]', "(line 1, byte 9"),
    "leading zero": ('[{"id": 007}]', "invalid number (line 1, byte 9"),
    "comment": ('[{"id": 1}/* x */]', "(line 1, byte 10"),
    "single quotes": ("[{'id': 1}]", "(line 1, byte 2"),
    "control character": ('[{"id": "a\x01"}]', "(line 1, byte 10"),
    "newline in a string": ('[{"id": "a\n"}]', "(line 1, byte 10"),
    "lone surrogate": ('[{"id": "\\ud800 x"}]', "half of a surrogate pair (line 1, byte 9"),
    "lone surrogate in a name": ('[{"\\udc00 x": 1}]', "byte"),
    "name twice": ('[{"id": 1},\n{"id": 1, "id": 2}]', "line 2 has the name 'id' twice"),
    "name twice, once escaped": ('[{"id": 1, "i\\u0064": 2}]', "has the name 'id' twice"),
    "name twice, nested": ('[{"id": 1, "x": [{"a": 1, "b": {}, "a": ":"}]}]', "has the name 'a' twice"),
    "10,000 levels": ('[{"id": ' + "[" * 10_000 + "]" * 10_000 + "}]", "nested deeper than"),
    "201 levels": ('[{"id": ' + "[" * 200 + "]" * 200 + "}]", "deeper than 200 levels"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_array_that_is_no_strict_json_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


@pytest.mark.parametrize(("content", "reason"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_array_is_refused_behind_many_good_records_too(tmp_path: Path, content: str, reason: str) -> None:
    good = ",".join(f'{{"id": {number}, "x": [{{"a": 1}}, {{"a": 2}}]}}' for number in range(15_000))
    body = content.removeprefix("[").removeprefix("]")

    assert "json: " in refusal(tmp_path, f"[{good},{body}")


def test_200_levels_load(tmp_path: Path) -> None:
    nested = "[" * 199 + "]" * 199
    assert read(tmp_path, f'[{{"id": {nested}}}]').rows == [{"id": nested}]
    assert read(tmp_path, json.dumps({"id": "[" * 500})).rows == [{"id": "[" * 500}]


BAD_LINES = {
    "cut": ('{"id": "ab', "ends too early"),
    "trailing comma": ('{"id": 1,}', "trailing comma in object (byte 9 of the line"),
    "garbage after it": ('{"id": 1} x', "trailing characters (byte 10 of the line"),
    "two objects": ('{"id": 1}{"id": 2}', "trailing characters (byte 9 of the line"),
    "form feed": ('{"id": 1}\f', "(byte 9 of the line"),
    "NaN": ('{"id": NaN}', "(byte 7 of the line"),
    "NUL": ('{"id": "a\0"}', "(byte 9 of the line"),
    "lone surrogate": ('{"id": "\\ud800 x"}', "half of a surrogate pair (byte 8"),
    "number": ("1", "is no object"),
    "array": ("[1]", "is no object"),
    "null": ("null", "is no object"),
    "name twice": ('{"id": 1, "id": 1}', "has the name 'id' twice"),
    "name twice, the first with colons": ('{"id": {"a": ":"}, "id": 1}', "has the name 'id' twice"),
    "name twice and an escaped colon": ('{"id": "\\u003a", "id": "\\u003A"}', "has the name 'id' twice"),
    "name with a colon, twice": ('{"i:d": 1, "i:d": 1}', "has the name 'i:d' twice"),
    "name twice, nested": ('{"id": {"a": {"b": 1, "b": 2}}}', "has the name 'b' twice"),
    "10,000 levels": ('{"id": ' + "[" * 10_000 + "]" * 10_000 + "}", "nested deeper than"),
    "300 levels": ('{"id": ' + '{"a":' * 300 + "1" + "}" * 300 + "}", "deeper than 200 levels"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_line_among_good_ones_is_a_reject(tmp_path: Path, line: str, reason: str) -> None:
    outcome = read(tmp_path, f'{{"id": 1}}\n\n{line}\n{{"id": 3}}\n')

    assert [row["id"] for row in outcome.rows] == ["1", "3"]
    assert outcome.places == [(1, 1), (3, 4)]
    ((record, at, column, value, told),) = [
        (reject.record, reject.line, reject.column, reject.value, reject.reason) for reject in outcome.rejects
    ]
    assert (record, at, column, value) == (2, 3, None, None)
    assert reason in told
    assert list(outcome.reading.originals([2, 3])) == [(2, line), (3, '{"id": 3}')]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_file_of_nothing_but_a_bad_line_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    assert "json: " in refusal(tmp_path, line + "\n")


def test_bad_first_line_is_a_reject(tmp_path: Path) -> None:
    outcome = read(tmp_path, '{"id": 1,}\n{"id": 2}\n')

    assert (outcome.rows, [reject.line for reject in outcome.rejects]) == ([{"id": "2"}], [1])


def test_object_after_object_on_one_line_is_not_read_as_two(tmp_path: Path) -> None:
    outcome = read(tmp_path, '{"id":1}{"id":2}\n\n{"id":3}\n{"id":\n{"id":4}}{"id":5}\n')

    assert [row["id"] for row in outcome.rows] == ["3"]
    assert [reject.line for reject in outcome.rejects] == [1, 4, 5]


def test_record_of_an_array_that_is_no_object_is_a_reject(tmp_path: Path) -> None:
    outcome = read(tmp_path, '[{"id": 1},\n 5,\n null, {"id": 4}]')

    assert outcome.rows == [{"id": "1"}, {"id": "4"}]
    assert [(reject.record, reject.line, reject.reason) for reject in outcome.rejects] == [(2, 2, "is no object"), (3, 3, "is no object")]
    assert list(outcome.reading.originals([2, 4])) == [(2, "5"), (4, '{"id": 4}')]


def test_file_that_was_cut_in_its_last_line_is_read_up_to_it_and_warned_of(tmp_path: Path) -> None:
    outcome = read(tmp_path, '{"id": 1}\n{"id": 2')

    assert (outcome.rows, [reject.line for reject in outcome.rejects]) == ([{"id": "1"}], [2])
    assert "cut off" in outcome.warnings[0]


def test_file_that_ends_in_nul_is_refused_as_truncated(tmp_path: Path) -> None:
    assert "looks truncated" in refusal(tmp_path, b'{"id": 1}\n{"id": 2}\n' + bytes(4096))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\r\n \t"], ids=["nothing", "BOM", "newlines"])
def test_empty_file_is_refused_as_empty(tmp_path: Path, content: bytes) -> None:
    assert "empty file" in refusal(tmp_path, content, key=["id"])


def test_empty_array_has_no_rows(tmp_path: Path) -> None:
    outcome = read(tmp_path, " [ \n ] \n", key=["id"])

    assert (outcome.rows, outcome.columns, outcome.rejects) == ([], (), [])


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b'{"id": "ab"}\n{"id": "caf\xe9"}', "byte 24 "),
        (b'[{"id": 1}, {"id": "caf\xe9"}]', "byte 23 "),
        ('{"id": 1}'.encode("utf-16"), "byte 0 "),
        (b'{"id": 1}\n' * 200_000 + b'{"\xff": 1}\n', "byte 2,000,002 "),
    ],
    ids=["Latin-1 in lines", "Latin-1 in an array", "UTF-16", "late"],
)
def test_bytes_that_are_no_utf8_refuse_the_file_with_their_position(tmp_path: Path, content: bytes, position: str) -> None:
    assert position in refusal(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_refused(tmp_path: Path, encoding: str) -> None:
    refusal(tmp_path, '{"id": 1}\n{"id": 2}\n'.encode(encoding))


@pytest.mark.parametrize("content", ['"text"', "5\n6\n", "null", "id;name\n1;a\n", "<xml/>", "{\n'a': 1\n}"])
def test_what_is_neither_objects_nor_an_array_is_refused(tmp_path: Path, content: str) -> None:
    assert "neither an array of objects, one object nor one object a line" in refusal(tmp_path, content)


def test_objects_of_several_lines_after_one_another_are_refused_with_the_place(tmp_path: Path) -> None:
    assert "(line 4, byte 13" in refusal(tmp_path, '{\n "id": 1\n}\n{\n "id": 2\n}\n')


def test_missing_key_column_refuses_the_file_with_those_it_has(tmp_path: Path) -> None:
    told = refusal(tmp_path, '{"ident": 1, "First Name": 2}\n', key=["id", "first_name"])

    assert "lacks the key column id. Its columns are: ident, first_name." in told


def test_names_beyond_the_limit_refuse_the_file(tmp_path: Path) -> None:
    assert len(read(tmp_path, json.dumps({f"name{number}": 1 for number in range(2000)})).columns) == 2000
    told = refusal(tmp_path, json.dumps({f"name{number}": 1 for number in range(2001)}))
    assert "more than 2,000 names; the last is 'name2000'" in told
    assert "raise file_columns in [tool.dinmo.limits] of pyproject.toml" in told


def test_name_beyond_the_limit_refuses_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps({"n" * 1000: 1})).rows
    told = refusal(tmp_path, json.dumps({"n" * 1_000_000: 1}))
    assert "a name has 1,000,000 characters, which is more than 1,000: 'nnn" in told
    assert len(told) < 400


@pytest.mark.parametrize("length", [3_000_000, 100_000_000])
@pytest.mark.parametrize("layout", ['{{"id": 1}}\n{{"id": "{}"}}\n', '[{{"id": 1}},\n{{"id": "{}"}}]'], ids=["lines", "array"])
def test_value_of_any_length_loads(tmp_path: Path, length: int, layout: str) -> None:
    outcome = read(tmp_path, layout.format("x" * length))

    assert [len(row["id"]) for row in outcome.rows] == [1, length]


@pytest.mark.parametrize("layout", ["{}\n{}\n", "[{},\n{}]"], ids=["lines", "array"])
def test_record_beyond_the_limit_is_refused_with_its_name(tmp_path: Path, layout: str) -> None:
    long = json.dumps({"id": "x" * 5_000_000})

    assert "longer than 2,000,000 bytes" in refusal(tmp_path, layout.format('{"id": 1}', long), record_bytes=2_000_000)


def test_rejects_beyond_the_limit_refuse_the_file(tmp_path: Path) -> None:
    assert len(read(tmp_path, '{"id": 1}\n' + "5\n" * 3, rejected_records=3).rejects) == 3
    assert "raise rejected_records" in refusal(tmp_path, '{"id": 1}\n' + "5\n" * 4, rejected_records=3)


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '{"id": 1}\n')
    reading = open_json(path)
    path.write_text('{"id": 1, "name": 2}\n')

    with pytest.raises(FileRefused, match="changed while it was read"):
        list(reading.batches())


def test_file_is_read_by_its_exact_name_and_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "ord[e]rs *?'\" é.json.gz"
    path.write_bytes(gzip.compress(b'{"id": "1"}\n'))
    write(tmp_path, '{"id": "other"}', "orders *?'\" é.json.gz")

    assert Outcome(path).rows == [{"id": "1"}]


def test_originals_are_the_text_of_the_file(tmp_path: Path) -> None:
    reading = open_json(write(tmp_path, '[{"id":1}, {\n"id" : 2.0, "n": "\\u00e9é"}]'))

    assert list(reading.originals([1, 2])) == [(1, '{"id":1}'), (2, '{\n"id" : 2.0, "n": "\\u00e9é"}')]
    assert list(reading.originals([])) == []
