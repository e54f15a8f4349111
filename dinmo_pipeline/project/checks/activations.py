"""Activations: what they refer to and how their options go together checked, and their specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dinmo_pipeline.durations import every_cron
from dinmo_pipeline.errors import Problem
from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.formats.xml.write import has_schema
from dinmo_pipeline.project.checks.after import after_problems
from dinmo_pipeline.project.checks.guards import limit_problems, limits_of, loaded_at_of
from dinmo_pipeline.project.checks.targets import Target, shared_files
from dinmo_pipeline.project.schema.definitions import Definition, Definitions, by_name, read_format
from dinmo_pipeline.project.schema.expected import Holidays, expected_of
from dinmo_pipeline.project.schema.file_names import (
    MANIFEST_ENDING,
    NO_EXTENSION,
    SCHEMA_ENDING,
    done_file_problem,
    is_dated,
    template_problems,
)
from dinmo_pipeline.project.schema.outbound import ActivationFields, ModelFields, SegmentFields
from dinmo_pipeline.project.specs import ActivationSpec, MappedColumn, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.sql.quoting import folded
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.suggestions import nearest_hint

ActivationDefinition = Definition[ActivationFields]


@dataclass(frozen=True)
class _Known:
    """What activations may refer to, by name."""

    models: Mapping[str, Definition[ModelFields]]
    segments: Mapping[str, Definition[SegmentFields]]
    storages: Mapping[str, Definition[StorageSpec]]
    activations: Mapping[str, ActivationDefinition]

    def model_of(self, fields: ActivationFields) -> Definition[ModelFields] | None:
        """Return the model that the source is or selects from; None where it is not known."""
        segment = self.segments.get(fields.segment or "")
        name = segment.fields.model if segment is not None else fields.model
        return self.models.get(name or "")

    def primary_key(self, fields: ActivationFields) -> tuple[str, ...] | None:
        """Return the key of the source; None where the source is not known or has a fault."""
        model = self.model_of(fields)
        return tuple(model.fields.primary_key) if model is not None and model.fine("primary_key") else None


def read_activations(definitions: Definitions, *, timezone: str, holidays: Holidays) -> tuple[dict[str, ActivationSpec], list[Problem]]:
    """Return the specs by name, complete only where there is no problem. `timezone` is the project's."""
    known = _Known(
        models=by_name(definitions.models),
        segments=by_name(definitions.segments),
        storages=by_name(definitions.storages),
        activations=by_name(definitions.activations),
    )
    specs: dict[str, ActivationSpec] = {}
    problems: list[Problem] = []
    targets: list[Target] = []
    for definition in definitions.activations:
        format_, format_problems = read_format(definition)
        found = [*format_problems, *_reference_problems(definition, known), *_name_problems(definition, known)]
        found += [*_mode_problems(definition), *_mapping_problems(definition, format_, known), *_option_problems(definition)]
        found += limit_problems(definition, known.model_of(definition.fields))
        problems += found
        target = _target(definition, format_, known)
        if target is not None:
            targets.append(target)
        key = known.primary_key(definition.fields)
        if not found and not definition.bad and format_ is not None and key is not None and definition.name is not None:
            specs[definition.name] = _spec(definition.fields, format_, known, key, timezone, holidays)
    problems += _rename_problems(definitions.activations, known)
    problems += after_problems(definitions)
    for later, earlier in shared_files(targets):
        other = known.activations[earlier].document
        place = f"{other.file}:{other.line_of(('attributes', 'file_name'))}"
        message = f"file_name: it writes the same file as activation {earlier}, in {place}; give one of them another name or folder"
        problems.append(known.activations[later].problem("file_name", message))
    return specs, problems


def _reference_problems(definition: ActivationDefinition, known: _Known) -> Iterator[Problem]:
    fields = definition.fields
    if definition.fine("model", "segment"):
        if fields.model is not None and fields.segment is not None:
            yield definition.problem("segment", "'model' and 'segment' exclude each other; keep one", at_key=True)
        elif fields.model is None and fields.segment is None:
            yield definition.problem((), "it needs 'model' or 'segment': what is delivered", at_key=True)
    references: tuple[tuple[str, str | None, Iterable[str]], ...] = (
        ("model", fields.model, known.models),
        ("segment", fields.segment, known.segments),
        ("destination", fields.destination, known.storages),
    )
    for field, name, names in references:
        if definition.fine(field) and name is not None and name not in names:
            what = "storage" if field == "destination" else field
            yield definition.problem(field, f"{field}: there is no {what} {name!r}{nearest_hint(name, names)}")


def _name_problems(definition: ActivationDefinition, known: _Known) -> Iterator[Problem]:
    fields = definition.fields
    for field in ("file_name", "folder"):
        if definition.fine(field):
            for problem in template_problems(getattr(fields, field)):
                yield definition.problem(field, f"{field}: {problem}")
            if any(ord(character) < 32 for character in getattr(fields, field)):
                yield definition.problem(field, f"{field}: {getattr(fields, field)!r} has a control character; take it out")
    if definition.fine("file_name"):
        if fields.file_name.strip() in ("", ".", ".."):
            yield definition.problem("file_name", f"file_name: {fields.file_name!r} is no name for a file")
        elif "/" in fields.file_name:
            yield definition.problem("file_name", f"file_name: {fields.file_name!r} has a /; put the folders into 'folder'")
    if definition.fine("extension") and fields.extension is not None:
        text = fields.extension.removeprefix(".")
        if not all(text.split(".")) or any(character in "/{}" or ord(character) <= 32 for character in text):
            message = f"extension: {fields.extension!r} is no extension; write one such as txt, or none"
            yield definition.problem("extension", message)
    storage = known.storages.get(fields.destination) if definition.fine("destination", "folder") else None
    if storage is not None and not storage.bad and (unfit := storage.fields.folder_problem(fields.folder)) is not None:
        yield definition.problem("folder", f"folder: {unfit}")


def _mode_problems(definition: ActivationDefinition) -> Iterator[Problem]:
    fields = definition.fields
    if not definition.fine("run_type", "sync_mode"):
        return
    if fields.run_type == "full_only" and fields.sync_mode == "difference":
        message = "sync_mode: difference needs run_type full_then_delta; a full_only sync has nothing to compare with"
        yield definition.problem("sync_mode", message)
    if fields.run_type == "full_then_delta" and fields.sync_mode == "snapshot":
        message = "sync_mode: snapshot needs run_type full_only; a snapshot has no delta (upsert, insert and difference have)"
        yield definition.problem("sync_mode", message)
    if definition.fine("removed_columns") and fields.removed_columns == "key" and fields.sync_mode != "difference":
        message = f"removed_columns: key needs sync_mode difference; {fields.sync_mode} has no file of removed rows"
        yield definition.problem("removed_columns", message)


def _mapping_problems(definition: ActivationDefinition, format_: Format | None, known: _Known) -> Iterator[Problem]:
    fields = definition.fields
    if not definition.fine("mapping"):
        return
    columns = mapped_columns(fields)
    if columns is None:
        return
    first: dict[str, MappedColumn] = {}
    for index, column in enumerate(columns):
        other = first.setdefault(column.name.casefold(), column)
        if other is not column:
            step: str | int = column.attribute if isinstance(fields.mapping, dict) else index
            case = "" if other.name == column.name else f" ({other.name!r} and {column.name!r} differ by case alone)"
            message = f"mapping: {other.attribute!r} and {column.attribute!r} get one name, {column.name!r}{case}; rename one"
            yield definition.problem(("mapping", step), message)
    if format_ is not None and len(first) == len(columns):
        for problem in format_.name_problems([column.name for column in columns]):
            yield definition.problem("mapping", f"mapping: {problem}", at_key=True)
    if definition.fine("sync_mode", "model", "segment") and fields.sync_mode == "difference":
        missing = unmapped_key(columns, known.primary_key(fields) or ())
        if missing:
            lacks = f"{', '.join(missing)} of the primary key {'is' if len(missing) == 1 else 'are'} not there"
            write = ", ".join(f"{name}: {name}" if isinstance(fields.mapping, dict) else name for name in missing)
            message = f"mapping: {lacks}, and nobody can apply the files of difference without: which rows were updated or removed? Add"
            yield definition.problem("mapping", f"{message} {write}", at_key=True)


def _option_problems(definition: ActivationDefinition) -> Iterator[Problem]:
    fields = definition.fields
    if definition.fine("schedule") and not fields.schedule and ("attributes", "schedule") in definition.document.spots:
        yield definition.problem("schedule", "schedule: it is empty; write a cron expression, or leave the field out")
    if definition.fine("max_rows", "max_bytes") and fields.max_rows is not None and fields.max_bytes is not None:
        yield definition.problem("max_bytes", "'max_rows' and 'max_bytes' exclude each other; keep one", at_key=True)
    if definition.fine("done_file") and fields.done_file is not None and (unfit := done_file_problem(fields.done_file)) is not None:
        yield definition.problem("done_file", f"done_file: {unfit}")
    if not definition.fine("file_name", "folder"):
        return
    dated = is_dated(fields.file_name, fields.folder)
    if definition.fine("on_existing") and fields.on_existing == "refuse" and not dated:
        message = (
            "on_existing: refuse needs a variable such as {YYYY} in file_name or folder; under a fixed name every sync after the first "
        )
        yield definition.problem("on_existing", message + "would be refused")
    if definition.fine("if_missing") and fields.if_missing == "full":
        if dated:
            message = "if_missing: full needs a fixed name; a name with a variable is missing before every sync"
            yield definition.problem("if_missing", message)
        if definition.fine("run_type") and fields.run_type == "full_only":
            yield definition.problem("if_missing", "if_missing: full needs run_type full_then_delta; full_only sends all rows anyway")


def _rename_problems(definitions: Iterable[ActivationDefinition], known: _Known) -> Iterator[Problem]:
    heirs: dict[str, str] = {}
    for definition in definitions:
        old = definition.fields.renamed_from if definition.fine("renamed_from") else None
        if old is None:
            continue
        if old == definition.name:
            yield definition.problem("renamed_from", f"renamed_from: {old!r} is the activation's own name; write the one it had before")
        elif old in known.activations:
            message = f"renamed_from: activation {old!r} still exists, in {known.activations[old].document.file}; remove it, or this option"
            yield definition.problem("renamed_from", message)
        elif old in heirs:
            message = f"renamed_from: activation {heirs[old]} says that it was {old!r}, too; one alone can go on from it"
            yield definition.problem("renamed_from", message)
        else:
            heirs[old] = definition.name or ""


def mapped_columns(fields: ActivationFields) -> tuple[MappedColumn, ...] | None:
    """Return the columns of the delivered file in order; None for all of the source's."""
    if isinstance(fields.mapping, dict):
        return tuple(MappedColumn(attribute, name) for attribute, name in fields.mapping.items())
    return tuple(MappedColumn(name, name) for name in fields.mapping) if isinstance(fields.mapping, list) else None


def unmapped_key(columns: Iterable[MappedColumn], primary_key: Iterable[str]) -> list[str]:
    """Return the columns of the key that are not mapped; attributes are told apart as DuckDB does."""
    mapped = {folded(column.attribute) for column in columns}
    return [column for column in primary_key if folded(column) not in mapped]


def _target(definition: ActivationDefinition, format_: Format | None, known: _Known) -> Target | None:
    fields = definition.fields
    storage = known.storages.get(fields.destination) if definition.fine("destination", "file_name", "folder", "extension") else None
    named = definition.name is not None and known.activations.get(definition.name) is definition
    if format_ is None or storage is None or storage.bad or not named or not definition.fine("sync_mode", "max_rows", "max_bytes"):
        return None
    if template_problems(fields.file_name) or template_problems(fields.folder):
        return None
    done = fields.done_file or ""
    return Target(
        activation=definition.name or "",
        address=storage.fields.address,
        folder=fields.folder,
        file_name=fields.file_name,
        extension=fields.extension,
        format_extension=format_.extension,
        in_three=fields.sync_mode == "difference",
        in_parts=fields.max_rows is not None or fields.max_bytes is not None,
        endings=(*[MANIFEST_ENDING] * fields.manifest, *[SCHEMA_ENDING] * has_schema(format_), *[done] * done.startswith(".")),
        others=(done,) if done and not done.startswith(".") else (),
    )


def _spec(
    fields: ActivationFields, format_: Format, known: _Known, primary_key: tuple[str, ...], timezone: str, holidays: Holidays
) -> ActivationSpec:
    dated_delta = fields.run_type == "full_then_delta" and is_dated(fields.file_name, fields.folder)
    return ActivationSpec(
        name=fields.name,
        source=TableRef("models", fields.model) if fields.model is not None else TableRef("segments", fields.segment or ""),
        primary_key=primary_key,
        destination=fields.destination,
        folder=fields.folder or ".",
        file_name=fields.file_name,
        format=format_,
        consumer=fields.consumer,
        run_type=RunType(fields.run_type),
        sync_mode=SyncMode(fields.sync_mode),
        mapping=mapped_columns(fields),
        timezone=fields.timezone or timezone,
        extension=fields.extension if fields.extension == NO_EXTENSION or fields.extension is None else fields.extension.removeprefix("."),
        schedules=(*fields.schedule, *([every_cron(fields.every)] if fields.every is not None else ())),
        after=tuple(dict.fromkeys(fields.after)),
        paused=fields.paused,
        on_existing=fields.on_existing or ("refuse" if dated_delta else "overwrite"),
        if_missing=fields.if_missing,
        empty_files=fields.empty_files,
        removed_columns=fields.removed_columns,
        max_rows=fields.max_rows,
        max_bytes=fields.max_bytes,
        manifest=fields.manifest,
        done_file=fields.done_file,
        create_folder=fields.create_folder,
        fail_if=None if fields.fail_if is None else limits_of(fields.fail_if),
        warn_if=limits_of(fields.warn_if),
        loaded_at=loaded_at_of(fields, known.model_of(fields)),
        keep_syncs=fields.keep_syncs,
        expected=expected_of(fields.expected, holidays.dates),
        renamed_from=fields.renamed_from,
        description=fields.description,
        owners=tuple(fields.owners),
        tags=fields.tags or None,
    )
