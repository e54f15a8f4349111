"""Models and segments: their queries read, what they refer to checked, and their specs in dependency order."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline.durations import duration_minutes
from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.checks.sql import Query, Reference, bare_condition, read_queries, segment_query
from dinmo_pipeline.project.schema.definitions import Definition, Definitions, by_name
from dinmo_pipeline.project.schema.inbound import ENTITIES, FeedFields
from dinmo_pipeline.project.schema.outbound import ModelFields, SegmentFields
from dinmo_pipeline.project.specs import TableSpec
from dinmo_pipeline.project.sql_places import SqlPlace
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.project.yaml.files import FileMark, file_mark, relative_name
from dinmo_pipeline.suggestions import nearest_hint

TableDefinition = Definition[ModelFields] | Definition[SegmentFields]
_WHERE_STARTS = 2


@dataclass(frozen=True)
class _Source:
    """A table's query and where it was written.

    `text` is what its author wrote, as a query whose references are read; `query` is what makes the table, where that is another.
    """

    definition: TableDefinition
    field: str
    text: str
    query: str | None
    model: TableRef | None
    place: SqlPlace

    def problem(self, line: int, message: str) -> Problem:
        return Problem(self.place.file, self.place.line_of(line), f"{self.definition.subject}: {self.field}: {message}")


@dataclass(frozen=True)
class _Read:
    source: _Source
    sql: str
    references: tuple[Reference, ...]

    @property
    def depends_on(self) -> tuple[TableRef, ...]:
        return tuple(sorted({found.ref for found in self.references}))


@dataclass(frozen=True)
class Tables:
    """The tables in dependency order, what is wrong with them, and the SQL files that were read."""

    specs: Mapping[TableRef, TableSpec]
    problems: tuple[Problem, ...]
    files: tuple[FileMark, ...]


def read_tables(definitions: Definitions, *, root: Path) -> Tables:
    """Read the SQL files and parse every query once. The specs are complete only where there is no problem."""
    problems: list[Problem] = []
    files: list[FileMark] = []
    sources: dict[TableRef, _Source] = {}
    written: tuple[TableDefinition, ...] = (*definitions.models, *definitions.segments)
    for definition in written:
        source = _source(definition, root, files, problems)
        if source is not None and definition.name is not None:
            sources.setdefault(_ref(definition), source)
    models = by_name(definitions.models)
    problems += _unknown_models(definitions.segments, models)
    known = {*map(_ref, written), *_filled_by_imports(definitions.feeds)}
    reads: dict[TableRef, _Read] = {}
    for ref, found in _parsed(sources).items():
        if isinstance(found, Problem):
            problems.append(found)
        else:
            reads[ref] = found
            problems += _unknown_tables(found, known)
    order, cycles = _dependency_order({ref: read.depends_on for ref, read in reads.items()})
    problems += [_cycle_problem(cycle, reads) for cycle in cycles]
    specs = {ref: _spec(ref, reads[ref], models) for ref in order}
    return Tables(specs={ref: spec for ref, spec in specs.items() if spec is not None}, problems=tuple(problems), files=tuple(files))


def _parsed(sources: Mapping[TableRef, _Source]) -> dict[TableRef, _Read | Problem]:
    queries = read_queries(
        (source.text for source in sources.values()),
        syntax_only=(source.query for source in sources.values() if source.query is not None),
    )
    return {ref: _parsed_source(source, queries) for ref, source in sources.items()}


def _parsed_source(source: _Source, queries: Mapping[str, Query]) -> _Read | Problem:
    text = queries[source.text]
    query = queries[source.query] if source.query is not None else text
    for read in (text, query):
        if read.problem is not None:
            return source.problem(read.problem_line, read.problem)
    own = () if source.model is None else (Reference(source.model, 1),)
    return _Read(source, query.sql, (*own, *text.references))


def _ref(definition: TableDefinition) -> TableRef:
    return TableRef("models" if definition.component == "Model" else "segments", definition.name or "")


def _source(definition: TableDefinition, root: Path, files: list[FileMark], problems: list[Problem]) -> _Source | None:
    fields = definition.fields
    pair = ("sql", "sql_file") if definition.component == "Model" else ("where", "sql")
    if not definition.fine(*pair):
        return None
    given = [name for name in pair if getattr(fields, name) is not None]
    if len(given) != 1:
        message = f"{pair[0]!r} and {pair[1]!r} exclude each other; keep one" if given else f"it needs {pair[0]!r} or {pair[1]!r}"
        problems.append(definition.problem(given[-1] if given else (), message, at_key=True))
        return None
    name = given[0]
    text: str = getattr(fields, name)
    if name == "sql_file":
        return _file_source(definition, text, root, files, problems)
    place = _place_in_yaml(definition, name)
    if name == "where":
        if not definition.fine("model"):
            return None
        model: str = getattr(fields, "model", "")
        whole = segment_query(model, text)
        return _Source(definition, name, bare_condition(text), whole, TableRef("models", model), place)
    return _Source(definition, name, text, None, None, place)


def _place_in_yaml(definition: TableDefinition, name: str) -> SqlPlace:
    document, path = definition.document, ("attributes", name)
    spot = document.spots.get(path)
    if spot is None or spot.text_line is None:
        return SqlPlace(document.file, document.line_of(path), starts=None)
    return SqlPlace(document.file, spot.text_line, starts=_WHERE_STARTS if name == "where" else 1)


def _file_source(definition: TableDefinition, name: str, root: Path, files: list[FileMark], problems: list[Problem]) -> _Source | None:
    path = definition.document.path.parent / name
    files.append(file_mark(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(Problem(relative_name(path, root), line, f"{definition.subject}: sql_file: the file is not text in UTF-8"))
        return None
    except OSError as error:
        siblings = [sibling.name for sibling in path.parent.glob("*.sql")] if path.parent.is_dir() else []
        hint = nearest_hint(name, siblings) if isinstance(error, FileNotFoundError) else ""
        shown = relative_name(path, root)
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
        problems.append(definition.problem("sql_file", f"sql_file: {name!r} is {shown}, and {reason}{hint}"))
        return None
    return _Source(definition, "sql_file", text, None, None, SqlPlace(relative_name(path, root), 1))


def _unknown_models(segments: Iterable[Definition[SegmentFields]], models: Mapping[str, Definition[ModelFields]]) -> Iterator[Problem]:
    for segment in segments:
        if segment.fine("model") and segment.fields.model not in models:
            yield segment.problem("model", f"model: there is no model {segment.fields.model!r}{nearest_hint(segment.fields.model, models)}")


def _filled_by_imports(feeds: Iterable[Definition[FeedFields]]) -> Iterator[TableRef]:
    for feed in feeds:
        if feed.name is not None and feed.fine("entity"):
            yield TableRef("feeds", feed.name)
            yield TableRef("entities", feed.fields.entity)


def _unknown_tables(read: _Read, known: set[TableRef]) -> Iterator[Problem]:
    for found in read.references:
        # A condition's own model is checked, and told of, as the field that it is.
        if found.ref in known or found.ref == read.source.model:
            continue
        # Names alone are compared: with their kind before them any two would look alike.
        if found.ref.kind == "entities" and found.ref.name in ENTITIES:
            yield read.source.problem(found.line, f"there is no table {str(found.ref)!r}; define a Feed with `entity: {found.ref.name}`")
            continue
        alike = [ref.name for ref in known if ref.kind == found.ref.kind]
        hint = nearest_hint(found.ref.name, alike, prefix=f"{found.ref.kind}.") if alike else nearest_hint(str(found.ref), map(str, known))
        yield read.source.problem(found.line, f"there is no table {str(found.ref)!r}{hint}")


def _dependency_order(graph: Mapping[TableRef, tuple[TableRef, ...]]) -> tuple[list[TableRef], list[list[TableRef]]]:
    edges = {ref: [other for other in reads if other in graph] for ref, reads in sorted(graph.items())}
    cycles: list[list[TableRef]] = []
    while True:
        try:
            return list(graphlib.TopologicalSorter(edges).static_order()), cycles
        except graphlib.CycleError as error:
            cycle: list[TableRef] = error.args[1]
            cycles.append(cycle)
            edges |= {ref: [other for other in edges[ref] if other not in cycle] for ref in cycle}


def _cycle_problem(cycle: list[TableRef], reads: Mapping[TableRef, _Read]) -> Problem:
    # graphlib goes from what is read to who reads it, and ends where it began; people follow it the other way.
    ring = cycle[:0:-1]
    start = ring.index(min(ring))
    path = [*ring[start:], *ring[:start], ring[start]]
    line = next((found.line for found in reads[path[0]].references if found.ref == path[1]), 1)
    way = " reads ".join(map(str, path))
    return reads[path[0]].source.problem(line, f"{way}: no order to refresh them in; take one reference out")


def _spec(ref: TableRef, read: _Read, models: Mapping[str, Definition[ModelFields]]) -> TableSpec | None:
    fields = read.source.definition.fields
    if isinstance(fields, SegmentFields):
        model = models.get(fields.model)
        key = model.fields.primary_key if model is not None and model.fine("primary_key") else None
        external: tuple[str, ...] = ()
        max_age = 0
    elif isinstance(fields, ModelFields):
        key, external, max_age = fields.primary_key, tuple(fields.deps), duration_minutes(fields.max_age)
    else:
        return None
    if key is None:
        return None
    return TableSpec(
        ref=ref,
        primary_key=tuple(key),
        sql=read.sql,
        depends_on=read.depends_on,
        external_deps=external,
        max_age_minutes=max_age,
        model=TableRef("models", fields.model) if isinstance(fields, SegmentFields) else None,
        description=fields.description,
        owners=tuple(fields.owners),
        tags=fields.tags or None,
        written_at=read.source.place,
    )
