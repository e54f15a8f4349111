"""What an activation's `after:` names: each must exist, and no activation may come after itself."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping, Sequence

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.schema.definitions import Definitions
from dinmo_pipeline.suggestions import nearest_hint


def after_problems(definitions: Definitions) -> Iterator[Problem]:
    """Yield names that lead nowhere, and activations that would start each other for ever."""
    tables = [
        *(f"models.{definition.name}" for definition in definitions.models),
        *(f"segments.{definition.name}" for definition in definitions.segments),
        *(f"feeds.{definition.name}" for definition in definitions.feeds),
        *(f"entities.{definition.fields.entity}" for definition in definitions.feeds if definition.fine("entity")),
    ]
    activations = {each.name: each for each in reversed(definitions.activations) if each.name and each.fine("after")}
    names = [each.name for each in definitions.activations if each.name]
    for definition in definitions.activations:
        for index, name in enumerate(definition.fields.after if definition.fine("after") else ()):
            # The key of an asset that this product does not make: Dagster knows whether there is one.
            if "/" not in name and name not in (*tables, *names):
                what = "table" if "." in name else "activation"
                hint = nearest_hint(name, tables if "." in name else names)
                yield definition.problem(("after", index), f"after: there is no {what} {name!r}{hint}")
    for ring in _rings({name: each.fields.after for name, each in activations.items()}):
        way = " comes after ".join((*ring, ring[0]))
        yield activations[ring[0]].problem("after", f"after: {way}: they would start each other for ever; take one out")


def _rings(after: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield rings of activations that come after one another, each from the first of its names on."""
    edges = {name: [other for other in others if other in after] for name, others in sorted(after.items())}
    while True:
        try:
            graphlib.TopologicalSorter(edges).prepare()
            return
        except graphlib.CycleError as error:
            # Each comes before the next one, and the first is the last.
            ring = error.args[1][:0:-1]
            start = ring.index(min(ring))
            yield (*ring[start:], *ring[:start])
            edges |= {name: [other for other in edges[name] if other not in ring] for name in ring}
