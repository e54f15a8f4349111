"""Files as they come: what is loaded, what is rejected with which line and reason, and what is refused in which words."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import random
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read import open_csv
from dinmo_pipeline.formats.reader import FileRefused, Reading
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits

Row = tuple[str | None, ...]


class Read:
    """A file's content, read whole."""

    def __init__(self, reading: Reading) -> None:
        self.rows: list[Row] = []
        self.records: list[int] = []
        self.lines: list[int] = []
        for batch in reading.batches():
            assert batch.schema == reading.schema
            record, line, *columns = batch.to_pydict().values()
            self.records += record
            self.lines += line
            self.rows += zip(*columns, strict=True)
        self.columns = reading.columns
        self.warnings = reading.warnings
        self.rejects = [(reject.record, reject.line, reject.reason) for reject in reading.rejects]
        self.places = [(reject.column, reject.value) for reject in reading.rejects]


ReadText = Callable[..., Read]


@pytest.fixture
def read(tmp_path: Path) -> ReadText:
    def read(
        content: str | bytes,
        *,
        key: Collection[str] = (),
        name: str = "contacts.csv",
        limits: IntakeLimits = DEFAULT_LIMITS,
        **dialect: object,
    ) -> Read:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Read(open_csv(path, CsvDialect(**dialect), key=key, limits=limits))  # type: ignore[arg-type]

    return read


@pytest.fixture
def refusal(read: ReadText) -> Callable[..., str]:
    def refusal(content: str | bytes, **options: object) -> str:
        with pytest.raises(FileRefused) as refused:
            read(content, **options)
        assert "contacts.csv" in str(refused.value)
        return str(refused.value)

    return refusal


def test_the_reference_pages_sample_is_read_as_it_is_meant(read: ReadText) -> None:
    sample = (
        '"id";"json";"text";"date";"bool";"number";"array"\n'
        '"id_1";"{""name"":""Jean""}";"Hello";"2022-01-01 00:01:00";1;1.56;value1,value2\n'
        '"id_2";"{""name"":""Michel""}";"Hi";"2022-01-31 19:01:00";;-5.8;value1\n'
        '"id_3";"{""name"":""Marie""}";"Hola";"2022-01-31 07:01:00";0;99.156;\n'
    )

    found = read(sample, key=["id"])

    assert found.columns == ("id", "json", "text", "date", "bool", "number", "array")
    assert found.rows == [
        ("id_1", '{"name":"Jean"}', "Hello", "2022-01-01 00:01:00", "1", "1.56", "value1,value2"),
        ("id_2", '{"name":"Michel"}', "Hi", "2022-01-31 19:01:00", None, "-5.8", "value1"),
        ("id_3", '{"name":"Marie"}', "Hola", "2022-01-31 07:01:00", "0", "99.156", None),
    ]
    assert (found.records, found.lines, found.rejects, found.warnings) == ([1, 2, 3], [2, 3, 4], [], [])


@pytest.mark.parametrize("header", ["id;name", '"id";"name"', '"id";name'])
def test_a_byte_order_mark_is_no_part_of_the_first_name(header: str, read: ReadText) -> None:
    found = read(codecs.BOM_UTF8 + f"{header}\n1;\ufeffa\n".encode(), key=["id"])

    assert found.columns == ("id", "name")
    assert found.rows == [("1", "\ufeffa")]


def test_latin_1_without_a_declaration_is_refused_with_the_byte(refusal: Callable[..., str]) -> None:
    content = "id;name\n1;Zoë\n".encode("latin-1")

    assert f"byte {content.index(0xEB)} of the file, counted from 0 (eb 0a), is not utf-8" in refusal(content)


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf8\x88\x80\x80\x80"])
@pytest.mark.parametrize("rows", [0, 1, 300_000])
def test_bytes_that_are_no_utf_8_are_refused_wherever_they_stand(bad: bytes, rows: int, refusal: Callable[..., str]) -> None:
    content = b"id;name\n" + "1;Zoë ☃ 🇫🇷\n".encode() * rows + b"2;" + bad

    assert f"byte {len(content) - len(bad):,} of the file" in refusal(content)


def test_utf_16_without_a_declaration_is_refused(refusal: Callable[..., str]) -> None:
    content = "id;name\n1;a\n"

    assert "byte 0 of the file, counted from 0 (ff fe" in refusal(content.encode("utf-16"))
    assert "declare the feed's encoding" in refusal(content.encode("utf-16-be"))
    assert "declare the feed's encoding" in refusal((content + "x").encode("utf-16-le")[:-1])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "shift_jis", "iso2022_jp", "gb18030"]
)
def test_a_declared_encoding_is_understood(encoding: str, read: ReadText) -> None:
    rows = [(str(number), f'日本\n{number} "語"') for number in range(60_000)]
    content = "id;name\n" + "".join(f'{key};"{name.replace(chr(34), chr(34) * 2)}"\r\n' for key, name in rows)

    assert read(content.encode(encoding), encoding=encoding).rows == rows


def test_a_byte_that_a_declared_encoding_does_not_have_is_refused_with_its_position(refusal: Callable[..., str]) -> None:
    filler = "1;é\n" * 700_000
    content = f"id;name\n{filler}".encode("cp1252") + b"2;\x81\n"
    assert f"byte {len(content) - 2:,} of the file, counted from 0 (81 0a), is not cp1252" in refusal(content, encoding="cp1252")

    content = f"id;name\n{filler}".encode("utf-16-le")
    assert f"byte {len(content):,} of the file" in refusal(content + b"\x00\xd8" + "a\n".encode("utf-16-le"), encoding="utf-16-le")
    assert f"byte {len(content):,} of the file" in refusal(content + b"1", encoding="utf-16-le")


def test_values_over_several_lines_keep_their_bytes_and_count_as_lines(read: ReadText) -> None:
    found = read('id;note\n1;"a\r\nb\rc\nd\n\r\n"\n2;x\n"3";"\n"\n4;y\n')

    assert found.rows == [("1", "a\r\nb\rc\nd\n\r\n"), ("2", "x"), ("3", "\n"), ("4", "y")]
    assert found.lines == [2, 8, 9, 11]


def test_quotes_that_begin_only_late_are_understood(read: ReadText) -> None:
    plain = "".join(f"{number};a\n" for number in range(60_000))

    found = read(f'id;note\n{plain}60000;"b;\n""c"""\n60001;d\n')

    assert found.rows[-3:] == [("59999", "a"), ("60000", 'b;\n"c"'), ("60001", "d")]
    assert found.lines[-2:] == [60_002, 60_004]


@pytest.mark.parametrize("endings", ["\r", "\n", "\r\n", ("\r\n", "\n"), ("\r", "\n"), ("\r\n", "\r"), ("\r\n", "\r", "\n")])
def test_any_line_endings_give_all_records(endings: tuple[str, ...], read: ReadText) -> None:
    chosen = [random.Random(5).choice(endings) for _ in range(500)]
    # An LF after a lone CR would be one line ending with it.
    content = "id;a;b" + endings[0] + "".join(f'{number};"x";{ending}' for number, ending in enumerate(chosen))

    found = read(content)

    assert found.rows == [(str(number), "x", None) for number in range(500)]
    assert found.lines == list(range(2, 502))


def test_blank_lines_and_final_newlines_are_no_records(read: ReadText) -> None:
    for end in ("", "\n", "\n\n", "\r\n\r\n", "\n\n\n"):
        found = read(f"\nid;a\n\n1;x\n\n\n2;y{end}")

        assert found.rows == [("1", "x"), ("2", "y")]
        assert (found.records, found.lines, found.rejects, found.warnings) == ([1, 2], [4, 7], [], [])


def test_blank_lines_are_no_records_in_a_file_of_one_column(read: ReadText) -> None:
    assert read('id\n1\n\n""\n2\n').rows == [("1",), ("",), ("2",)]


def test_ragged_lines_are_rejected_with_their_lines_and_the_rest_loads(read: ReadText) -> None:
    found = read("id;a;b\n1;x;y\n2;x\n3;x;y;z\n4;;5;\n5\n;;;\n6;x;y\n")

    assert found.rows == [("1", "x", "y"), ("6", "x", "y")]
    assert found.records == [1, 7]
    assert found.rejects == [
        (2, 3, "2 values, the header has 3 columns"),
        (3, 4, "4 values, the header has 3 columns"),
        (4, 5, "4 values, the header has 3 columns"),
        (5, 6, "1 value, the header has 3 columns"),
        (6, 7, "4 values, the header has 3 columns"),
    ]
    assert set(found.places) == {(None, None)}


def test_a_delimiter_at_the_end_of_every_line_is_no_column(read: ReadText) -> None:
    found = read('id;a;\n1;x;\n2;y\n3;z;""\n4;w;oops\n5;;\n')

    assert found.columns == ("id", "a")
    assert found.rows == [("1", "x"), ("5", None)]
    assert found.rejects == [
        (2, 3, "2 values, the header has 3 columns"),
        (3, 4, "a value after the last column"),
        (4, 5, "a value after the last column"),
    ]


def test_a_nul_in_a_value_rejects_its_row_and_names_the_column(read: ReadText) -> None:
    found = read("id;a;b\n1;x;y\n2;x\0z;y\n3;\0;\0\n4;x;y\n")

    assert found.rows == [("1", "x", "y"), ("4", "x", "y")]
    assert found.rejects == [(2, 3, "a NUL byte in the value"), (3, 4, "a NUL byte in the value")]
    assert found.places == [("a", "x\0z"), ("a", "\0")]


@pytest.mark.parametrize("tail", [b"\0", b"1;x\0\0\0\0", b"\0" * 5_000_000, b'1;"x\0\0'], ids=["one", "some", "many", "in a quoted value"])
def test_a_tail_of_nuls_is_refused(tail: bytes, refusal: Callable[..., str]) -> None:
    assert "ends in NUL bytes, it looks truncated" in refusal(b"id;a\n" + tail)


@pytest.mark.parametrize("size", [3_000_000, 100_000_000])
def test_a_huge_value_loads(size: int, read: ReadText) -> None:
    part = 'a comma, a semicolon; a "quote", and é\n' + "b" * 60
    value = part * (size // len(part.encode()))

    found = read('id;a\n1;x\n2;"' + value.replace('"', '""') + '"\n3;y\n')

    # Not compared by assert alone: it would show both.
    same = found.rows == [("1", "x"), ("2", value), ("3", "y")]
    assert same


def test_a_record_over_the_limit_is_refused_with_its_name(refusal: Callable[..., str]) -> None:
    limits = IntakeLimits(record_bytes=10_000_000)

    assert "line 3: the record that begins here is longer than 10,000,000 bytes" in refusal(
        'id;a\n1;x\n2;"' + "b" * 20_000_000 + '"\n', limits=limits
    )
    assert "the file looks truncated" in refusal(b"id;a\n1;x\n" + b"\0" * 40_000_000, limits=limits)


def test_a_record_of_too_many_fields_is_refused_with_the_limits_name(refusal: Callable[..., str]) -> None:
    assert "line 2: the record that begins here has more than 1,000,000 fields" in refusal("id;a\n" + ";" * 5_000_000 + "\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('id;a\n1;x\n2;"y\n3;z\n', 3),
        ('id;a\n1;x\n2;"y\n3;"z"\n4;w\n', 3),
        ('id;a\n1;"x\n\n"\n2;"y', 5),
        ('id;a\n1;"\n', 2),
        ('id;a\n1;"x""\n', 2),
        ('id;"a\n1;x\n', 1),
        ('id;a\n"1\n";"\r\n\r\nx"y\n', 3),
        ('id;a\n1;"x' + "\n2;y" * 900_000, 2),
    ],
    ids=[
        "below",
        "before quoted values",
        "after a value of lines",
        "alone",
        "before a doubled one",
        "in the header",
        "under a multiline value",
        "far away",
    ],
)
def test_a_quote_that_is_not_closed_refuses_the_file_with_the_line_where_it_opens(
    content: str, line: int, refusal: Callable[..., str]
) -> None:
    assert f"contacts.csv, line {line}: a quoted value begins here" in refusal(content)


def test_text_after_a_closing_quote_rejects_its_row(read: ReadText) -> None:
    found = read('id;a;b\n1;"A"x;y\n2;"A" ;y\n3;"A";"B"\n4;""x;y\n5;"A""B"C"D";y\n6;"A"x"\n')

    assert found.rows == [("3", "A", "B")]
    assert [reject[:2] for reject in found.rejects] == [(1, 2), (2, 3), (4, 5), (5, 6), (6, 7)]
    assert {reject[2] for reject in found.rejects} == {"text after a closing quote"}
    assert found.places == [("a", '"A"x'), ("a", '"A" '), ("a", '""x'), ("a", '"A""B"C"D"'), ("a", '"A"x"')]


def test_a_quote_inside_an_unquoted_value_is_text(read: ReadText) -> None:
    values = ['5" pipe', '5"', 'a""b', "a\"b'c", ' "x"', 'x""', '\\"', '24" by 12"', '-"']
    content = "id;a;b\n" + "".join(f'{number};{value};"{number}"\n' for number, value in enumerate(values))

    found = read(content)

    assert found.rows == [(str(number), value, str(number)) for number, value in enumerate(values)]
    assert found.rows == [tuple(row) for row in csv.reader(io.StringIO(content), delimiter=";")][1:]


def test_backslash_escapes_are_understood_if_declared(read: ReadText) -> None:
    found = read(
        'id;a\n1;"x \\"y\\"; z"\n2;"c:\\\\temp\\\\"\n3;"\\n\\t"\n4;\\N\n5;\\"q\n6;"a""b\\""\n7;"\\"\n"\n', escape="\\", null_text=("\\N",)
    )

    assert found.rows == [
        ("1", 'x "y"; z'),
        ("2", "c:\\temp\\"),
        ("3", "\\n\\t"),
        ("4", None),
        ("5", '\\"q'),
        ("6", 'a"b"'),
        ("7", '"\n'),
    ]


def test_backslashes_are_text_if_not_declared(read: ReadText, refusal: Callable[..., str]) -> None:
    assert read('id;a\n1;"c:\\temp\\"\n2;\\N\n').rows == [("1", "c:\\temp\\"), ("2", "\\N")]
    assert read('id;a\n1;"x \\"y\\""\n2;z\n').rejects == [(1, 2, "text after a closing quote")]
    assert "line 2: a quoted value" in refusal('id;a\n1;"c:\\temp\\"\n2;z\n', escape="\\")


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_the_usual_delimiters_are_found(delimiter: str, read: ReadText) -> None:
    others = "".join(sign for sign in ";,\t|" if sign != delimiter)
    content = delimiter.join(["id", "first name", f'"a{others}"']) + "\n" + delimiter.join(["1", f'"x{others}{delimiter}"', ""]) + "\n"

    found = read(content, key=["id"])

    assert found.columns == ("id", "first_name", "a")
    assert found.rows == [("1", f"x{others}{delimiter}", None)]


@pytest.mark.parametrize("delimiter", [":", "^", "~", " ", "\x01", "\x1f", "\x0b", "§", "¦", "‖", "😀", "a", "'", "\\", ".", "*"])
def test_any_declared_delimiter_is_used(delimiter: str, read: ReadText) -> None:
    found = read(f'id{delimiter}x;y,z\n1{delimiter}"p{delimiter}q"\n2{delimiter}\n{delimiter}r\n', delimiter=delimiter)

    assert found.rows == [("1", f"p{delimiter}q"), ("2", None), (None, "r")]


def test_in_doubt_the_delimiter_is_the_semicolon(read: ReadText) -> None:
    assert read("a;b,c\n1;2\n").columns == ("a", "b_c")
    assert read("id\n1;2\n3\n").rows == [("3",)]


def test_the_key_decides_between_delimiters(read: ReadText) -> None:
    assert read("id;amount, EUR;weight, kg, net\n1;2;3\n", key=["id"]).columns == ("id", "amount_eur", "weight_kg_net")


def test_one_column_that_is_no_key_is_a_delimiter_not_recognised(read: ReadText, refusal: Callable[..., str]) -> None:
    text = refusal("id^name\n1^a\n", key=["id"])

    assert "delimiter not recognised: ; , tab and | were tried" in text
    assert "'id^name'" in text
    assert "delimiter not recognised: ',' is declared" in refusal("id;name\n1;a\n", key=["id"], delimiter=",")
    assert read("id\n1\n", key=["id"]).rows == [("1",)]


def test_a_missing_key_is_refused_with_the_columns_and_the_nearest(refusal: Callable[..., str]) -> None:
    text = refusal("contact id;name\n1;a\n", key=["contacts_id"])

    assert "the key column 'contacts_id' is missing; columns found: contact_id, name. Is it 'contact_id'?" in text


def test_values_are_the_files_text(read: ReadText) -> None:
    values = [
        "1,50",
        "007",
        "12345678901234567890123",
        "9007199254740993",
        "NULL",
        "NA",
        "\\N",
        "nan",
        "=1+1",
        "+33 1",
        "@x",
        "-",
        " ",
        " a ",
        "\u2028",
        "\x85",
        "\x1a",
        "🇫🇷",
        "e\u0301",
    ]
    content = "id;a\n" + "".join(f"#{number};{value}\n" for number, value in enumerate(values))

    found = read(content)

    assert found.rows == [(f"#{number}", value) for number, value in enumerate(values)]
    assert found.rows == [tuple(row) for row in csv.reader(io.StringIO(content, newline=""), delimiter=";")][1:]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n\n\r", codecs.BOM_UTF8, codecs.BOM_UTF8 + b"\n"])
def test_a_file_without_a_header_is_an_empty_file(content: bytes, refusal: Callable[..., str]) -> None:
    assert "empty file" in refusal(content, key=["id"])


def test_an_empty_archive_is_an_empty_file(refusal: Callable[..., str]) -> None:
    assert "empty file" in refusal(gzip.compress(b""), name="contacts.csv.gz")


@pytest.mark.parametrize("content", ["id;a", "id;a\n", "id;a\r\n\r\n", '"id";"a"'])
def test_a_header_alone_has_no_rows(content: str, read: ReadText) -> None:
    found = read(content, key=["id"])

    assert (found.columns, found.rows, found.rejects, found.warnings) == (("id", "a"), [], [], [])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id;name;name", "the same column (name): 'name', 'name'"),
        ("id;Name;NAME", "the same column (name): 'Name', 'NAME'"),
        ("id;first name;First_Name", "the same column (first_name): 'first name', 'First_Name'"),
        ("id;;name", "no name for column 2: 'id', '', 'name'"),
        ('id;" - ";name', "no name for column 2: 'id', ' - ', 'name'"),
        (";", "no name for column 1"),
        ("id;_line", "'_line' in the header: names that the table keeps for itself"),
        ("_file;_loaded_at;_record;_updated_at;_dinmo_x", "'_file', '_loaded_at', '_record', '_updated_at', '_dinmo_x' in the header"),
        ('id;"a"b', "text after a closing quote"),
        ("id;a\0b", "NUL bytes"),
    ],
)
def test_a_header_that_cannot_name_columns_is_refused_in_words(header: str, words: str, refusal: Callable[..., str]) -> None:
    assert words in refusal(f"{header}\n1;2;3\n")


def test_names_in_the_header_become_identifiers(read: ReadText) -> None:
    found = read('ID; First Name ;"Last\nName";e-mail;Größe;N°\n1;a;b;c;d;e\n', key=["id"])

    assert found.columns == ("id", "first_name", "last_name", "e_mail", "größe", "n")
    assert found.lines == [3]


def test_an_empty_text_is_not_null(read: ReadText) -> None:
    assert read('id;a;b\n"";;""\n " ";" ";\n').rows == [("", None, ""), (' " "', " ", None)]


def test_declared_null_texts_are_null_without_quotes_only(read: ReadText) -> None:
    found = read('id;a;b\nNULL;"NULL";\\N\nNULLS; NULL;null\n"";-;é\n', null_text=("NULL", "\\N", "é", ""))

    assert found.rows == [(None, "NULL", None), ("NULLS", " NULL", "null"), ("", "-", None)]


def test_excels_first_line_is_understood(read: ReadText) -> None:
    for first in ("sep=,", '"sep=,"', "SEP=,"):
        found = read(f"{first}\r\nid,a;b\r\n1,x\r\n", key=["id"])

        assert (found.columns, found.rows, found.lines) == (("id", "a_b"), [("1", "x")], [3])
    assert read("sep=\t\nid\ta\n1\tx\n", delimiter=";").rows == [("1", "x")]
    assert read("sep=;a\n1;2\n").columns == ("sep", "a")


def test_lines_above_and_below_the_table_are_left_out(read: ReadText) -> None:
    content = 'Report "of\r\rtoday\r\nid;a\n1;x\n2;y\nTotal;"3\nprinted by\n\n'

    found = read(content, skip_lines=3, skip_last_lines=2)

    assert (found.rows, found.lines, found.rejects) == ([("1", "x"), ("2", "y")], [5, 6], [])
    assert read("sep=,\nid,a\n1,x\n2,y", skip_last_lines=1).rows == [("1", "x")]


def test_leaving_out_more_lines_than_there_are_leaves_an_empty_file(refusal: Callable[..., str]) -> None:
    assert "empty file" in refusal("id;a\n1;x\n", skip_lines=2)
    assert "empty file" in refusal("id;a\n1;x\n", skip_last_lines=5)


def test_a_file_cut_inside_a_row_rejects_it_and_warns(read: ReadText) -> None:
    found = read("id;a;b\n1;x;y\n2;x")

    assert found.rows == [("1", "x", "y")]
    assert found.rejects == [(2, 3, "2 values, the header has 3 columns")]
    assert found.warnings == ["contacts.csv: the last line, 3, has no line break and is not whole: the file looks cut off."]


def test_a_file_is_read_by_its_exact_name(read: ReadText) -> None:
    for name in ("contacts.csv[a]*?.csv", "contacts.csv 'q' \"d\" é.csv", "contacts.csv\udcff.csv"):
        assert read("id;a\n1;x\n", name=name).rows == [("1", "x")]


def test_an_archive_is_read_and_a_truncated_one_refused(read: ReadText, refusal: Callable[..., str]) -> None:
    packed = gzip.compress(b"id;a\n" + b"".join(b"%d;x\n" % number for number in range(500_000)))

    assert len(read(packed, name="contacts.csv.gz").rows) == 500_000
    assert "damaged or cut off" in refusal(packed[:-5000], name="contacts.csv.gz")


def test_originals_are_the_rejected_lines_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    content = 'id;a\r\n1;"é\n"\r\n2;"A"x\r\n\r\n3;b;c\r4;"ok"\n5'
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(content.encode(encoding))
        reading = open_csv(path, CsvDialect(encoding=encoding))
        rows = sum(batch.num_rows for batch in reading.batches())

        assert rows == 2
        assert list(reading.originals([reject.record for reject in reading.rejects])) == [(2, '2;"A"x'), (3, "3;b;c"), (5, "5")]
        assert list(reading.originals([1])) == [(1, '1;"é\n"')]
        assert list(reading.originals([])) == []


def test_originals_of_a_large_file_come_from_all_over_it(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text("id;a\n" + "".join(f"{number};{'x' * 90}\n" for number in range(1, 100_001)), encoding="utf-8")

    found = list(open_csv(path, CsvDialect()).originals([100_000, 1, 50_000]))

    assert [(number, text.split(";")[0]) for number, text in found] == [(1, "1"), (50_000, "50000"), (100_000, "100000")]


def test_rejects_without_end_refuse_the_file_with_the_limits_name(refusal: Callable[..., str]) -> None:
    assert "more than 1,000 records are rejected; the first one is on line 3: 1 value" in refusal(
        "id;a\n1;x\n" + "2\n" * 2000, limits=IntakeLimits(rejected_records=1000)
    )


def test_a_reading_that_is_given_up_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text("id;a\n" + "1;x\n" * 3_000_000, encoding="utf-8")
    batches = open_csv(path, CsvDialect()).batches()
    next(batches)
    batches.close()  # type: ignore[attr-defined]

    assert str(path) not in {str(link.resolve()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
