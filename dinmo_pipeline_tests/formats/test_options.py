"""The options of every format: their defaults, what they refuse, extensions, and names that cannot stand together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dinmo_pipeline.formats import FORMATS

from .conftest import TEXT_FORMATS, make

TEXT: dict[str, Any] = {"compression": "none", "booleans": "true/false", "timestamps": "iso", "decimal": "."}
OBJECTS = {**TEXT, "numbers": "exact", "non_finite": "text"}
DEFAULTS: dict[str, dict[str, Any]] = {
    "csv": {
        "delimiter": ",",
        "header": True,
        "quoting": "minimal",
        "null_text": "",
        "line_ending": "\n",
        "encoding": "utf-8",
        "escape_formulas": False,
        **TEXT,
    },
    "json": OBJECTS,
    "ndjson": OBJECTS,
    "xml": {"root": "rows", "row": "row", "nulls": "absent", "xsd": False, **TEXT},
    "parquet": {"compression": "zstd", "uuid": "text", "time": "text", "json_columns": "text"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_format_has_these_options_and_defaults(name: str) -> None:
    assert make(name).model_dump() == {"type": name, **DEFAULTS[name]}
    assert all(field.description for option, field in FORMATS[name].model_fields.items() if option != "type")


@pytest.mark.parametrize("name", FORMATS)
def test_format_is_frozen_and_comes_back_from_json(name: str) -> None:
    form = make(name)
    assert FORMATS[name].model_validate_json(form.model_dump_json()) == form
    with pytest.raises(ValidationError, match="frozen"):
        form.compression = "none"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_compression_is_part_of_the_extension(name: str) -> None:
    assert [make(name, compression=kind).extension for kind in ("none", "gzip", "zstd")] == [name, f"{name}.gz", f"{name}.zst"]
    assert make(name, compression="zstd").uncompressed() == make(name)


@pytest.mark.parametrize("kind", ["zstd", "snappy", "gzip", "lz4", "brotli", "none"])
def test_compression_of_parquet_is_not_part_of_the_extension(kind: str) -> None:
    assert make("parquet", compression=kind).extension == "parquet"
    assert make("parquet", compression=kind).uncompressed() == make("parquet", compression="none")


def test_uncompressed_keeps_every_other_option() -> None:
    form = make("csv", compression="gzip", delimiter=";", encoding="latin-1", header=False)
    assert form.uncompressed() == make("csv", delimiter=";", encoding="latin-1", header=False)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("csv", {"delimiter": ""}, "'' is no delimiter; write one character, or \\t for a tab"),
        ("csv", {"delimiter": ";;"}, "';;' is no delimiter; write one character, or \\t for a tab"),
        ("csv", {"delimiter": '"'}, "'\"' cannot be the delimiter, CSV needs it for something else"),
        ("csv", {"delimiter": "\n"}, "'\\n' cannot be the delimiter"),
        ("csv", {"delimiter": "\\r"}, "'\\r' cannot be the delimiter"),
        ("csv", {"delimiter": "\0"}, "'\\x00' cannot be the delimiter"),
        ("csv", {"null_text": "a,b"}, "'a,b' has a delimiter, quote or line ending in it"),
        ("csv", {"null_text": 'a"'}, "has a delimiter, quote or line ending in it"),
        ("csv", {"null_text": "a\r"}, "has a delimiter, quote or line ending in it"),
        ("csv", {"delimiter": "→", "encoding": "latin-1"}, "latin-1 has no character '→', which 'delimiter' needs"),
        ("csv", {"null_text": "€é→", "encoding": "windows-1252"}, "windows-1252 has no character '→', which 'null_text' needs"),
        ("csv", {"line_ending": "\r"}, "Input should be '\\n' or '\\r\\n'"),
        ("csv", {"encoding": "ascii"}, "Input should be 'utf-8'"),
        ("csv", {"quoting": "none"}, "Input should be 'minimal', 'texts' or 'all'"),
        ("csv", {"header": "yes"}, "valid boolean"),
        ("xml", {"root": "my rows"}, "'my rows' is no name for an XML element; write 'my_rows'"),
        ("xml", {"row": "1"}, "'1' is no name for an XML element; write '_1'"),
        ("xml", {"row": ""}, "'' is no name for an XML element; write '_'"),
        ("xml", {"nulls": "empty"}, "Input should be 'absent' or 'nil'"),
        ("parquet", {"compression": "lzo"}, "Input should be"),
        ("parquet", {"delimiter": ";"}, "Extra inputs"),
        ("parquet", {"uuid": "bytes"}, "Input should be 'text' or 'native'"),
        ("parquet", {"time": "us"}, "Input should be 'text' or 'native'"),
        ("parquet", {"json_columns": "variant"}, "Input should be 'text' or 'native'"),
        *((name, {"booleans": "yes/no"}, "Input should be 'true/false', '1/0' or 'Y/N'") for name in TEXT_FORMATS),
        *((name, {"decimal": ";"}, "Input should be '.' or ','") for name in TEXT_FORMATS),
        *(
            (name, {"timestamps": "rfc"}, "neither iso nor sql nor a pattern such as '%d/%m/%Y %H:%M': it has no %")
            for name in TEXT_FORMATS
        ),
        ("csv", {"timestamps": "%d/%m/%Y %z"}, "it has '%z'"),
        ("csv", {"timestamps": "%Q"}, "it has '%Q'"),
        ("csv", {"timestamps": "%Y%"}, "it has '%'"),
        ("json", {"numbers": "double"}, "Input should be 'exact' or 'text'"),
        ("ndjson", {"non_finite": "zero"}, "Input should be 'text' or 'null'"),
        ("xml", {"root": "\u2135", "xsd": True}, "XML Schema knows no element <\u2135>"),
        ("xml", {"row": "\u017f", "xsd": True}, "XML Schema knows no element <\u017f>"),
        *((name, {"compression": "bzip2"}, "Input should be 'none', 'gzip' or 'zstd'") for name in TEXT_FORMATS),
    ],
)
def test_option_that_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(name, **options)
    (error,) = caught.value.errors()
    assert message in error["msg"]
    assert error["loc"][0] == list(options)[-1]


def test_tab_and_line_ending_may_be_written_out() -> None:
    assert make("csv", delimiter="\\t") == make("csv", delimiter="\t")
    assert make("csv", line_ending="\\r\\n") == make("csv", line_ending="\r\n")


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("csv", ["a", "A", ""], []),
        ("csv", ["a", "b", "a"], ["the names 'a' and 'a' stand in one header: give them different names"]),
        ("json", ["a", "A", ""], []),
        ("json", ["a", "a", "a"], ["the names 'a', 'a' and 'a' are one key in a JSON object: give them different names"]),
        ("ndjson", ["a", "a"], ["the names 'a' and 'a' are one key in a JSON object: give them different names"]),
        ("xml", ["a", "A"], []),
        (
            "xml",
            ["last name", "last_name"],
            ["the names 'last name' and 'last_name' become one XML element, <last_name>: give them different names"],
        ),
        ("parquet", ["a", "A"], ["the names 'a' and 'A' are one column in Parquet: give them different names"]),
        ("parquet", ["a", ""], ["a column of a Parquet file needs a name, and one is empty"]),
    ],
)
def test_names_that_cannot_stand_together_are_told(name: str, names: list[str], expected: list[str]) -> None:
    assert make(name).name_problems(names) == expected


def test_csv_without_a_header_takes_any_names() -> None:
    assert make("csv", header=False).name_problems(["a", "a"]) == []
