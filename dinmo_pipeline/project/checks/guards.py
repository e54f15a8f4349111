"""`fail_if` and `warn_if` of an activation: whether its source, run type and mode give what they limit, and the limits themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.schema.definitions import Definition
from dinmo_pipeline.project.schema.limits import Limit, Measure, parse_limit
from dinmo_pipeline.project.schema.outbound import ActivationFields, FailIf, ModelFields
from dinmo_pipeline.project.specs import LoadedAt, SyncMode
from dinmo_pipeline.project.table_refs import TableRef

_CHANGES_OF_MODE: Mapping[str, tuple[Measure, ...]] = {
    SyncMode.SNAPSHOT: (),
    SyncMode.INSERT: (Measure.ADDED,),
    SyncMode.UPSERT: (Measure.ADDED, Measure.UPDATED),
    SyncMode.DIFFERENCE: (Measure.ADDED, Measure.UPDATED, Measure.REMOVED),
}


def limits_of(fields: FailIf | None) -> tuple[Limit, ...]:
    """Return the limits that were written, in the order of the measures."""
    written: Mapping[str, list[str]] = fields.model_dump() if fields is not None else {}
    parsed = (parse_limit(Measure(measure), text) for measure, texts in written.items() for text in texts)
    return tuple(limit for limit in parsed if limit is not None)


def loaded_at_of(fields: ActivationFields, model: Definition[ModelFields] | None) -> LoadedAt | None:
    """Return the column that the age of the source is read from, where a limit asks for it and the model declares it."""
    limits = (*limits_of(fields.fail_if), *limits_of(fields.warn_if))
    if model is None or model.fields.loaded_at is None or all(limit.measure != Measure.SOURCE_AGE for limit in limits):
        return None
    return LoadedAt(TableRef("models", model.fields.name), model.fields.loaded_at)


def limit_problems(definition: Definition[ActivationFields], model: Definition[ModelFields] | None) -> Iterator[Problem]:
    """Yield limits that could never be measured, each at its line."""
    fields = definition.fields
    for option, written in (("fail_if", fields.fail_if), ("warn_if", fields.warn_if)):
        if not definition.fine(option):
            continue
        for measure in dict.fromkeys(limit.measure for limit in limits_of(written)):
            reason = _unmeasured(measure, definition, model)
            if reason is not None:
                yield definition.problem((option, measure.value), f"{option}: {measure} {reason}")


def _unmeasured(measure: Measure, definition: Definition[ActivationFields], model: Definition[ModelFields] | None) -> str | None:
    fields = definition.fields
    if measure in _CHANGES_OF_MODE[SyncMode.DIFFERENCE] and definition.fine("run_type", "sync_mode"):
        if fields.run_type == "full_only":
            return "needs run_type full_then_delta; a full_only sync compares with nothing. Limit rows instead"
        if measure not in _CHANGES_OF_MODE[fields.sync_mode]:
            known = ", ".join(("rows", *_CHANGES_OF_MODE[fields.sync_mode]))
            return f"is not counted in sync_mode {fields.sync_mode}; of the rows, it counts {known}"
    if measure == Measure.SOURCE_AGE and model is not None and model.fine("loaded_at") and model.fields.loaded_at is None:
        return f"needs loaded_at at model {model.name}: the column that says when a row was loaded or changed"
    return None
