"""Storages: each registered one is a component. It makes no asset; activations find it by its name."""

from __future__ import annotations

from dagster import Component, Definitions

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.storages import STORAGES


class StorageComponent(NamedComponent):
    """A place that files are delivered to."""

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return no definitions: the YAML alone counts."""
        return Definitions()


def storage_components() -> dict[str, type[Component]]:
    """Return a component for each storage of the registry, by its name."""
    return {
        name: type(name, (StorageComponent,), {"fields_model": spec, "__doc__": spec.__doc__, "__module__": __name__})
        for name, spec in STORAGES.items()
    }
