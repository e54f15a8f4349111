"""Bad projects: every error at once, each with its file, its line, the value and the nearest valid name."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.project.load import load_project

from .conftest import WriteProject


def errors_of(write_project: WriteProject, files: dict[str, str], **options: object) -> list[str]:
    root = write_project(files, **options)
    with pytest.raises(DefinitionErrors) as caught:
        load_project(root)
    return [str(problem) for problem in caught.value.problems]


def activation(changes: str = "", *, without: tuple[str, ...] = ()) -> str:
    """An activation in defs/a/defs.yaml whose line 1 is its type; its fields `changes` begin on line 3."""
    fields = {
        "name": "export",
        "model": "customers",
        "destination": "out",
        "file_name": "export",
        "format": "csv",
        "run_type": "full_then_delta",
        "sync_mode": "upsert",
        "mapping": "{id: id, name: full name}",
    }
    changed = {line.split(":")[0] for line in dedent(changes).splitlines() if line[:1].isalpha()}
    rest = "".join(f"  {key}: {value}\n" for key, value in fields.items() if key not in changed and key not in without)
    return "type: dinmo_pipeline.Activation\nattributes:\n" + indent(dedent(changes).strip("\n"), "  ") + "\n" + rest


def model(changes: str) -> str:
    """A model in which `changes` begin on line 4."""
    return "type: dinmo_pipeline.Model\nattributes:\n  name: orders\n" + indent(dedent(changes).strip("\n"), "  ") + "\n"


LINES = "---\ntype: dinmo_pipeline.Model\nattributes: {name: lines, primary_key: [order_id, line], sql: SELECT 1 AS order_id}\n"
ACTIVATIONS = {
    "unknown field": (
        activation("foldr: x"),
        ["3: Activation export: unknown field 'foldr'; did you mean 'folder'?"],
    ),
    "option of a later version": (
        activation("warn_when: x"),
        ["3: Activation export: unknown field 'warn_when'"],
    ),
    "repeated field": (
        activation("folder: x\nfolder: y"),
        ["4: 'folder' is repeated, first written on line 3; keep one of the two"],
    ),
    "half of a surrogate pair": (
        activation('mapping: {id: "a\\ud800"}'),
        [
            "3: this is not YAML: in double quotes a backslash begins a sign such as \\n; write single quotes, or two backslashes for one",
        ],
    ),
    "a variable that begins a text": (
        activation("file_name: {YYYY}-{MM}", without=("file_name",)),
        ['3: this is not YAML: file_name begins with {, which YAML takes for a mapping; put it in quotes: "{YYYY}-{MM}"'],
    ),
    "a star": (
        activation("mapping: *", without=("mapping",)),
        ['3: this is not YAML: mapping begins with *, which means something else in YAML; put it in quotes: "*"'],
    ),
    "missing fields": (
        activation("description: all", without=("name", "format", "mapping")),
        ["2: Activation: 'format' is missing", "2: Activation: 'mapping' is missing", "2: Activation: 'name' is missing"],
    ),
    "unknown values": (
        activation("run_type: full_onyl\nsync_mode: append\non_existing: overwriet"),
        [
            "3: Activation export: run_type: unknown value 'full_onyl'; did you mean 'full_only'?",
            "4: Activation export: sync_mode: unknown value 'append'; valid are difference, insert, snapshot, upsert",
            "5: Activation export: on_existing: unknown value 'overwriet'; did you mean 'overwrite'?",
        ],
    ),
    "wrong types": (
        activation("file_name: 2025\nmax_rows: many\nmax_bytes: 0\ndescription: [a]\ntags: {team: yes}\nfolder: ~"),
        [
            "3: Activation export: file_name: expected text, found '2025', which YAML takes for a number; put it in quotes",
            "4: Activation export: max_rows: expected a whole number, found 'many' (text)",
            "5: Activation export: max_bytes: '0' is less than 1, the least it can be",
            "6: Activation export: description: expected text, found a list; a text that begins with [ stands in quotes",
            "7: Activation export: tags.team: expected text, found 'yes', which YAML takes for a truth value; put it in quotes",
            "8: Activation export: folder: expected text, found '~'",
        ],
    ),
    "references to nothing": (
        activation("model: custmers\ndestination: partner"),
        [
            "3: Activation export: model: there is no model 'custmers'; did you mean 'customers'?",
            "4: Activation export: destination: there is no storage 'partner'; valid are out",
        ],
    ),
    "segment that is none": (
        activation("segment: lapsd", without=("model",)),
        ["3: Activation export: segment: there is no segment 'lapsd'; did you mean 'lapsed'?"],
    ),
    "model and segment": (
        activation("segment: lapsed"),
        ["3: Activation export: 'model' and 'segment' exclude each other; keep one"],
    ),
    "neither model nor segment": (
        activation("description: x", without=("model",)),
        ["2: Activation export: it needs 'model' or 'segment': what is delivered"],
    ),
    "a faulty field hides no other fault": (
        activation("foldr: x\nrun_type: [full]\ndestination: nowhere\nfile_name: a/b"),
        [
            "3: Activation export: unknown field 'foldr'; did you mean 'folder'?",
            "4: Activation export: run_type: unknown value a list; valid are full_only, full_then_delta",
            "5: Activation export: destination: there is no storage 'nowhere'; valid are out",
            "6: Activation export: file_name: 'a/b' has a /; put the folders into 'folder'",
        ],
    ),
    "full_only with difference": (
        activation("run_type: full_only\nsync_mode: difference"),
        ["4: Activation export: sync_mode: difference needs run_type full_then_delta; a full_only sync has nothing to compare with"],
    ),
    "delta with snapshot": (
        activation("sync_mode: snapshot"),
        [
            "3: Activation export: sync_mode: snapshot needs run_type full_only; a snapshot has no delta "
            "(upsert, insert and difference have)"
        ],
    ),
    "two attributes under one name": (
        activation("mapping:\n  id: id\n  name: Name\n  email: name\n  phone: Name"),
        [
            "6: Activation export: mapping: 'name' and 'email' get one name, 'name' ('Name' and 'name' differ by case alone); rename one",
            "7: Activation export: mapping: 'name' and 'phone' get one name, 'Name'; rename one",
        ],
    ),
    "list with a name twice": (
        activation("mapping: [id, id]"),
        ["3: Activation export: mapping: 'id' and 'id' get one name, 'id'; rename one"],
    ),
    "mapping of nothing": (activation("mapping: {}"), ["3: Activation export: mapping: it is empty; write at least one"]),
    "mapping of the wrong shape": (
        activation("mapping: all"),
        ['3: Activation export: mapping: expected {attribute: name in the file}, a list of attributes, or "*" for all of them'],
    ),
    "mapping to a number": (
        activation("mapping: {id: 1}"),
        ["3: Activation export: mapping.id: expected text, found '1', which YAML takes for a number; put it in quotes"],
    ),
    "unknown variables and open braces": (
        activation('file_name: "{yyyy}-{MM"\nfolder: "x/{day}"'),
        [
            "3: Activation export: file_name: the brace '{' at character 8 has no partner; write '{{' for a brace itself",
            "3: Activation export: file_name: unknown variable '{yyyy}'; did you mean 'YYYY'?",
            "4: Activation export: folder: unknown variable '{day}'; valid are DD, HH, MM, X, YY, YYYY, mm, ms, ss, x",
        ],
    ),
    "file name with a slash": (
        activation("file_name: a/b"),
        ["3: Activation export: file_name: 'a/b' has a /; put the folders into 'folder'"],
    ),
    "file name of a folder": (activation("file_name: .."), ["3: Activation export: file_name: '..' is no name for a file"]),
    "empty file name": (activation('file_name: ""'), ["3: Activation export: file_name: '' is no name for a file"]),
    "file name with NUL": (
        activation(r'file_name: "a\0b"'),
        [r"3: Activation export: file_name: 'a\x00b' has a control character; take it out"],
    ),
    "extension that is none": (
        activation('extension: "a/b"'),
        ["3: Activation export: extension: 'a/b' is no extension; write one such as txt, or none"],
    ),
    "folder that leaves the storage": (
        activation("folder: ../x"),
        ["3: Activation export: folder: folder '../x' leaves the storage's path"],
    ),
    "name that is none": (
        activation("name: Export-1"),
        ["3: Activation Export-1: name: 'Export-1' is no name; write small letters, digits and _, a letter first"],
    ),
    "cron that is none": (
        activation('schedule: ["0 7 * * *", "0 25 * * *"]'),
        ["3: Activation export: schedule.1: '0 25 * * *' is no cron schedule: the hour is '25', not a number from 0 to 23"],
    ),
    "interval that no clock shows": (
        activation("every: 90 minutes"),
        [
            "3: Activation export: every: '90 minutes' does not fill an hour or a day evenly, so no clock shows when it comes; "
            "write 1 hour or 2 hours, or a schedule"
        ],
    ),
    "interval longer than a day": (
        activation("every: 2 days"),
        [
            "3: Activation export: every: '2 days' does not fill an hour or a day evenly, so no clock shows when it comes; "
            "write 1 day, or a schedule"
        ],
    ),
    "interval in other words": (
        activation("every: 15 min"),
        ["3: Activation export: every: '15 min' is no span of time; write one such as 15 minutes, 2 hours or 1 day"],
    ),
    "after a table that is not there": (
        activation("after: [models.customer, dbt/orders]"),
        ["3: Activation export: after: there is no table 'models.customer'; did you mean 'models.customers'?"],
    ),
    "after an activation that is not there": (
        activation("after: exports"),
        ["3: Activation export: after: there is no activation 'exports'; did you mean 'export'?"],
    ),
    "after itself": (
        activation("after: export"),
        ["3: Activation export: after: export comes after export: they would start each other for ever; take one out"],
    ),
    "schedule of nothing": (
        activation("schedule: []"),
        ["3: Activation export: schedule: it is empty; write a cron expression, or leave the field out"],
    ),
    "unknown time zone": (
        activation("timezone: Europe/Pariss"),
        ["3: Activation export: timezone: unknown time zone 'Europe/Pariss'; did you mean 'Europe/Paris'?"],
    ),
    "refuse under a fixed name": (
        activation("on_existing: refuse"),
        [
            "3: Activation export: on_existing: refuse needs a variable such as {YYYY} in file_name or folder; "
            "under a fixed name every sync after the first would be refused"
        ],
    ),
    "if_missing under a dated name": (
        activation('if_missing: full\nfile_name: "{DD}"'),
        ["3: Activation export: if_missing: full needs a fixed name; a name with a variable is missing before every sync"],
    ),
    "if_missing without a delta": (
        activation("if_missing: full\nrun_type: full_only"),
        ["3: Activation export: if_missing: full needs run_type full_then_delta; full_only sends all rows anyway"],
    ),
    "removed_columns without removed rows": (
        activation("removed_columns: key"),
        ["3: Activation export: removed_columns: key needs sync_mode difference; upsert has no file of removed rows"],
    ),
    "removed_columns without the key": (
        activation("removed_columns: key\nsync_mode: difference\nmapping: [name]"),
        [
            "5: Activation export: mapping: id of the primary key is not there, and nobody can apply the files of difference without: "
            "which rows were updated or removed? Add id"
        ],
    ),
    "difference without the key": (
        activation("sync_mode: difference\nmapping: {name: id}"),
        [
            "4: Activation export: mapping: id of the primary key is not there, and nobody can apply the files of difference without: "
            "which rows were updated or removed? Add id: id"
        ],
    ),
    "difference without a part of the key": (
        activation("model: lines\nsync_mode: difference\nmapping: {ORDER_ID: id, name: name}") + LINES,
        [
            "5: Activation export: mapping: line of the primary key is not there, and nobody can apply the files of difference without: "
            "which rows were updated or removed? Add line: line"
        ],
    ),
    "two limits": (
        activation("max_rows: 1\nmax_bytes: 1"),
        ["4: Activation export: 'max_rows' and 'max_bytes' exclude each other; keep one"],
    ),
    "renamed from itself": (
        activation("renamed_from: export"),
        ["3: Activation export: renamed_from: 'export' is the activation's own name; write the one it had before"],
    ),
    "unknown format": (activation("format: cvs"), ["3: Activation export: format: unknown format 'cvs'; did you mean 'csv'?"]),
    "format of no type": (activation("format: {delimiter: x}"), ["3: Activation export: 'format.type' is missing"]),
    "unknown option of a format": (
        activation("format:\n  type: csv\n  delimeter: x\n  quoting: none"),
        [
            "5: Activation export: unknown field 'format.delimeter'; did you mean 'delimiter'?",
            "6: Activation export: format.quoting: unknown value 'none'; valid are all, minimal, texts",
        ],
    ),
    "options of CSV that cannot be": (
        activation("format:\n  type: csv\n  delimiter: ;;\n  header: 1\n  line_ending: cr\n  encoding: utf8"),
        [
            "5: Activation export: format.delimiter: ';;' is no delimiter; write one character, or \\t for a tab",
            "6: Activation export: format.header: expected true or false, found '1'",
            r"7: Activation export: format.line_ending: unknown value 'cr'; valid are \n, \r\n",
            "8: Activation export: format.encoding: unknown value 'utf8'; did you mean 'utf-8'?",
        ],
    ),
    "options of CSV that do not go together": (
        activation("format:\n  type: csv\n  delimiter: →\n  null_text: a→b\n  encoding: latin-1"),
        [
            "6: Activation export: format.null_text: 'a→b' has a delimiter, quote or line ending in it, and null is never quoted; "
            "write another text",
            "7: Activation export: format.encoding: latin-1 has no character '→', which 'delimiter' needs; change one of the two",
        ],
    ),
    "names that XML does not have": (
        activation("format:\n  type: xml\n  root: my rows\nmapping: {id: full name, name: full_name}"),
        [
            "5: Activation export: format.root: 'my rows' is no name for an XML element; write 'my_rows'",
        ],
    ),
    "names that become one in XML": (
        activation("format: xml\nmapping: {id: full name, name: full_name}"),
        [
            "4: Activation export: mapping: the names 'full name' and 'full_name' become one XML element, <full_name>: "
            "give them different names"
        ],
    ),
    "owner that Dagster would refuse": (
        activation("owners: [somebody]"),
        ["3: Activation export: owners.0: 'somebody' is no owner; write an e-mail address or team:name"],
    ),
    "no attributes": (
        "type: dinmo_pipeline.Activation\n",
        ["1: Activation: 'attributes' is missing; it holds the fields, beginning with `name:`"],
    ),
    "field beside the attributes": (
        "name: x\n" + activation(),
        ["1: Activation: unknown field 'name' beside `type:`; it belongs under `attributes:`, indented"],
    ),
}


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_bad_activation_is_told_with_its_line(case: str, write_project: WriteProject) -> None:
    text, expected = ACTIVATIONS[case]
    errors = errors_of(write_project, {"defs/a/defs.yaml": text})
    if case == "option of a later version":
        errors = [error.partition(";")[0] for error in errors]
    assert errors == [f"defs/a/defs.yaml:{line}" for line in expected]


TABLES = {
    "neither sql nor sql_file": (model("primary_key: id"), ["a/defs.yaml:2: Model orders: it needs 'sql' or 'sql_file'"]),
    "sql and sql_file": (
        model("primary_key: id\nsql: SELECT 1\nsql_file: x.sql"),
        ["a/defs.yaml:6: Model orders: 'sql' and 'sql_file' exclude each other; keep one"],
    ),
    "missing sql_file": (
        model("primary_key: id\nsql_file: order.sql"),
        ["a/defs.yaml:5: Model orders: sql_file: 'order.sql' is defs/a/order.sql, and there is no such file; did you mean 'orders.sql'?"],
    ),
    "sql_file that does not parse": (
        model("primary_key: id\nsql_file: orders.sql"),
        ['a/orders.sql:3: Model orders: sql_file: syntax error at or near "BY"'],
    ),
    "block of sql that does not parse": (
        model("primary_key: id\nsql: |\n  SELECT 1\n  FORM x y z"),
        ['a/defs.yaml:7: Model orders: sql: syntax error at or near "x"'],
    ),
    "sql on one line that does not parse": (
        model('primary_key: id\nsql: "SELECT * FROM"'),
        ['a/defs.yaml:5: Model orders: sql: syntax error at or near "FROM"'],
    ),
    "table that is none": (
        model(
            "primary_key: id\nsql: |\n  SELECT *\n  FROM models.customers\n"
            "  JOIN models.customer USING (id)\n  JOIN segments.nobody USING (id)"
        ),
        [
            "a/defs.yaml:8: Model orders: sql: there is no table 'models.customer'; did you mean 'models.customers'?",
            "a/defs.yaml:9: Model orders: sql: there is no table 'segments.nobody'; valid are segments.lapsed",
        ],
    ),
    "key of nothing": (
        model("primary_key: []\nsql: SELECT 1"),
        ["a/defs.yaml:4: Model orders: primary_key: it is empty; write at least one"],
    ),
    "key column twice": (
        model("primary_key: [id, ID]\nsql: SELECT 1"),
        ["a/defs.yaml:4: Model orders: primary_key: 'ID' is repeated; columns that differ by case alone are one"],
    ),
    "statement that is no query": (
        model("primary_key: id\nsql: DROP TABLE x"),
        ["a/defs.yaml:5: Model orders: sql: it is a DROP statement; a table is made by a query (SELECT, WITH, FROM or VALUES)"],
    ),
    "asset key of nothing": (
        model("primary_key: id\nsql: SELECT 1\ndeps: [dbt//orders]"),
        ["a/defs.yaml:6: Model orders: deps.0: 'dbt//orders' is no asset key; write its parts with one / between them"],
    ),
    "reads itself": (
        model("primary_key: id\nsql: FROM models.orders"),
        ["a/defs.yaml:5: Model orders: sql: models.orders reads models.orders: no order to refresh them in; take one reference out"],
    ),
    "condition that closes the parenthesis": (
        'type: dinmo_pipeline.Segment\nattributes:\n  name: s\n  model: customers\n  where: "a) OR (b"\n',
        ['a/defs.yaml:5: Segment s: where: syntax error at or near ")"'],
    ),
    "condition with a faulty second line": (
        "type: dinmo_pipeline.Segment\nattributes:\n  name: s\n  model: customers\n  where: |\n    id > 0\n    AN id < 9\n",
        ['a/defs.yaml:7: Segment s: where: syntax error at or near "AN"'],
    ),
    "segment of no model": (
        'type: dinmo_pipeline.Segment\nattributes:\n  name: s\n  model: customer\n  where: "id > 0"\n',
        ["a/defs.yaml:4: Segment s: model: there is no model 'customer'; did you mean 'customers'?"],
    ),
    "where and sql": (
        'type: dinmo_pipeline.Segment\nattributes:\n  name: s\n  model: customers\n  where: "id > 0"\n  sql: SELECT 1\n',
        ["a/defs.yaml:6: Segment s: 'where' and 'sql' exclude each other; keep one"],
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_table_is_told_with_its_line(case: str, write_project: WriteProject) -> None:
    text, expected = TABLES[case]
    sql = "SELECT *\n-- é\nFROM a ORDR BY b c\n"
    assert errors_of(write_project, {"defs/a/defs.yaml": text, "defs/a/orders.sql": sql}) == [f"defs/{line}" for line in expected]


FILES = {
    "unknown type": (
        {"defs/a/defs.yaml": "type: dinmo_pipeline.Modl\nattributes: {}\n"},
        ["defs/a/defs.yaml:1: unknown type 'dinmo_pipeline.Modl'; did you mean 'dinmo_pipeline.Model'?"],
    ),
    "type without its package": (
        {"defs/a/defs.yaml": "type: Activation\nattributes: {}\n"},
        ["defs/a/defs.yaml:1: unknown type 'Activation'; did you mean 'dinmo_pipeline.Activation'?"],
    ),
    "misspelt type without its package": (
        {"defs/a/defs.yaml": "type: Activiation\nattributes: {}\n"},
        ["defs/a/defs.yaml:1: unknown type 'Activiation'; did you mean 'dinmo_pipeline.Activation'?"],
    ),
    "type in other letters": (
        {"defs/a/defs.yaml": "type: Dinmo_Pipeline.activation\nattributes: {}\n"},
        ["defs/a/defs.yaml:1: unknown type 'Dinmo_Pipeline.activation'; did you mean 'dinmo_pipeline.Activation'?"],
    ),
    "misspelt package": (
        {"defs/a/defs.yaml": "type: dinmo_pipelines.Model\nattributes: {}\n"},
        ["defs/a/defs.yaml:1: unknown type 'dinmo_pipelines.Model'; did you mean 'dinmo_pipeline.Model'?"],
    ),
    "document that is no mapping": (
        {"defs/a/defs.yaml": "- a\n"},
        ["defs/a/defs.yaml:1: the document is no mapping; a definition starts with `type:` and has `attributes:`"],
    ),
    "empty document": (
        {"defs/a/defs.yaml": activation() + "---\n"},
        ["defs/a/defs.yaml:12: the document is empty; a definition starts with `type:` and has `attributes:`"],
    ),
    "empty file": (
        {"defs/a/defs.yaml": "# later\n"},
        ["defs/a/defs.yaml:1: the file holds no definition, and Dagster stops at such a file; write one or delete the file"],
    ),
    "broken YAML after a fault": (
        {"defs/a/defs.yaml": activation("foldr: x") + "---\ntype: [\n"},
        [
            "defs/a/defs.yaml:3: Activation export: unknown field 'foldr'; did you mean 'folder'?",
            "defs/a/defs.yaml:14: this is not YAML: a [ is opened on this line and not closed before the next field",
        ],
    ),
    "the same name twice": (
        {"defs/a/defs.yaml": activation(), "defs/b/defs.yaml": "# the other\n" + activation("file_name: other")},
        [
            "defs/b/defs.yaml:5: Activation export: the name is taken by another activation, in defs/a/defs.yaml:4; "
            "give this one a name of its own"
        ],
    ),
    "a storage's name twice": (
        {"defs/a/defs.yaml": "type: dinmo_pipeline.LocalFolder\nattributes:\n  name: out\n  path: elsewhere\n"},
        [
            "defs/base/defs.yaml:2: LocalFolder out: the name is taken by another storage, in defs/a/defs.yaml:3; "
            "give this one a name of its own"
        ],
    ),
    "errors in the first and the last of several documents": (
        {"defs/a/defs.yaml": activation("foldr: x") + "---\n" + activation("name: second\nfile_name: s") + "---\n" + activation("name: 3")},
        [
            "defs/a/defs.yaml:3: Activation export: unknown field 'foldr'; did you mean 'folder'?",
            "defs/a/defs.yaml:26: Activation: name: expected text, found '3', which YAML takes for a number; put it in quotes",
        ],
    ),
    "definitions that Dagster does not read": (
        {"defs/a/defs.yaml": activation(), "defs/a/below/defs.yaml": activation("name: below\nfile_name: below")},
        [
            "defs/a/below/defs.yaml:1: Dagster does not read this file, because defs/a above it has definitions of its own; "
            "move those into a folder beside this one"
        ],
    ),
    "definitions in a file of another name": (
        {"defs/a/more.yml": "# more\n" + activation(), "defs/a/notes.yaml": "type: of paper\n"},
        [
            "defs/a/more.yml:2: Dagster reads of this folder the file defs.yaml alone, so these definitions would be left out; "
            "move them there, or into a file of that name in a folder beside this one"
        ],
    ),
    "two activations that write one file": (
        {
            "defs/a/defs.yaml": activation('folder: x\nfile_name: "{YYYY}_all"'),
            "defs/b/defs.yaml": activation('name: second\nfolder: ./x/\nfile_name: "20{YY}_all.csv"'),
        },
        [
            "defs/b/defs.yaml:5: Activation second: file_name: it writes the same file as activation export, in defs/a/defs.yaml:4; "
            "give one of them another name or folder"
        ],
    ),
    "a name that two difference files make": (
        {
            "defs/a/defs.yaml": activation("file_name: all\nsync_mode: difference"),
            "defs/b/defs.yaml": activation("name: second\nfile_name: all_removed"),
        },
        [
            "defs/b/defs.yaml:4: Activation second: file_name: it writes the same file as activation export, in defs/a/defs.yaml:3; "
            "give one of them another name or folder"
        ],
    ),
    "a name that a schema has": (
        {
            "defs/a/defs.yaml": activation("file_name: all\nformat: {type: xml, xsd: true}"),
            "defs/b/defs.yaml": activation("name: second\nfile_name: all\nextension: xsd"),
        },
        [
            "defs/b/defs.yaml:4: Activation second: file_name: it writes the same file as activation export, in defs/a/defs.yaml:3; "
            "give one of them another name or folder"
        ],
    ),
    "a name that a schema cannot have": (
        {"defs/a/defs.yaml": activation('format: {type: xml, xsd: true}\nmapping: {id: "\u2135"}')},
        [
            "defs/a/defs.yaml:4: Activation export: mapping: XML Schema knows no element <\u2135>: write the name with other letters, "
            "or leave xsd out"
        ],
    ),
    "a name that a part has": (
        {
            "defs/a/defs.yaml": activation("file_name: all_2"),
            "defs/b/defs.yaml": activation("name: second\nfile_name: all\nmax_rows: 10"),
        },
        [
            "defs/a/defs.yaml:3: Activation export: file_name: it writes the same file as activation second, in defs/b/defs.yaml:4; "
            "give one of them another name or folder"
        ],
    ),
    "one file through two storages": (
        {
            "defs/a/defs.yaml": activation("folder: sub")
            + "---\ntype: dinmo_pipeline.LocalFolder\nattributes: {name: sub, path: out/sub}\n---\n"
            + activation("name: second\ndestination: sub"),
        },
        [
            "defs/a/defs.yaml:21: Activation second: file_name: it writes the same file as activation export, in defs/a/defs.yaml:7; "
            "give one of them another name or folder"
        ],
    ),
    "renamed from one that still exists": (
        {"defs/a/defs.yaml": activation(), "defs/b/defs.yaml": activation("name: second\nfile_name: s\nrenamed_from: export")},
        [
            "defs/b/defs.yaml:5: Activation second: renamed_from: activation 'export' still exists, in defs/a/defs.yaml; "
            "remove it, or this option"
        ],
    ),
    "two that say they were one": (
        {
            "defs/a/defs.yaml": activation("renamed_from: old"),
            "defs/b/defs.yaml": activation("name: second\nfile_name: s\nrenamed_from: old"),
        },
        ["defs/b/defs.yaml:5: Activation second: renamed_from: activation export says that it was 'old', too; one alone can go on from it"],
    ),
    "a circle of tables": (
        {
            "defs/a/defs.yaml": model("primary_key: id\nsql: |\n  SELECT *\n  FROM segments.few"),
            "defs/b/defs.yaml": "type: dinmo_pipeline.Segment\nattributes: {name: few, model: orders, where: id > 0}\n",
        },
        [
            "defs/a/defs.yaml:7: Model orders: sql: models.orders reads segments.few reads models.orders: "
            "no order to refresh them in; take one reference out"
        ],
    ),
    "name of a storage": (
        {"defs/a/defs.yaml": "type: dinmo_pipeline.LocalFolder\nattributes: {name: My Files, path: x}\n"},
        ["defs/a/defs.yaml:2: LocalFolder My Files: name: 'My Files' is no name; write small letters, digits and _, a letter first"],
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files_are_told_with_their_lines(case: str, write_project: WriteProject) -> None:
    files, expected = FILES[case]
    assert errors_of(write_project, files) == expected


def test_bad_project_settings_are_told_with_the_definitions(write_project: WriteProject) -> None:
    pyproject = '[project]\nname = "x"\n\n[tool.dinmo]\ntimzone = "UTC"\ntimezone = "Europe/Lodon"\nmemory_limit = "lots"\n'
    assert errors_of(write_project, {"defs/a/defs.yaml": activation("foldr: x")}, pyproject=pyproject) == [
        "defs/a/defs.yaml:3: Activation export: unknown field 'foldr'; did you mean 'folder'?",
        "pyproject.toml:5: [tool.dinmo] has an unknown option 'timzone'; did you mean 'timezone'?",
        "pyproject.toml:6: [tool.dinmo] timezone: unknown time zone 'Europe/Lodon'; did you mean 'Europe/London'?",
        "pyproject.toml:7: [tool.dinmo] memory_limit: expected a size such as 4GB, found 'lots'",
    ]


def test_bad_limits_are_told_with_their_lines(write_project: WriteProject) -> None:
    pyproject = '[tool.dinmo.limits]\nlisting_entrys = 5\nreply_bytes = 0\nlisting_seconds = "1 minute"\nfree_disk_bytes = 0\n'
    assert errors_of(write_project, {}, pyproject=pyproject) == [
        "pyproject.toml:2: [tool.dinmo.limits] has an unknown option 'listing_entrys'; did you mean 'listing_entries'?",
        "pyproject.toml:3: [tool.dinmo.limits] reply_bytes: expected a whole number from 1, found 0",
        "pyproject.toml:4: [tool.dinmo.limits] listing_seconds: expected a whole number from 1, found '1 minute'",
    ]
    assert errors_of(write_project, {}, pyproject="[tool.dinmo]\nlimits = 5\n") == [
        "pyproject.toml:2: expected a table [tool.dinmo.limits], found 5"
    ]


def test_project_without_definitions_is_told_how_to_begin(write_project: WriteProject) -> None:
    assert errors_of(write_project, {}, base=False) == [
        "defs:1: no definitions yet; write a Model, a LocalFolder and an Activation into defs/defs.yaml, "
        "or start from an example with `dinmo init DIR`"
    ]


def test_plain_secret_in_an_unknown_field_is_not_shown(write_project: WriteProject) -> None:
    text = "type: dinmo_pipeline.LocalFolder\nattributes: {name: x, path: x, password: hunter2}\n"
    (error,) = errors_of(write_project, {"defs/a/defs.yaml": text})
    assert "unknown field 'password'" in error
    assert "hunter2" not in error
