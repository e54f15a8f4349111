"""What all components share: the definitions are checked by `project`, all at once; a component then takes its own from there."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from dagster import BetaWarning, Component, ComponentLoadContext, Definitions, LocalFileCodeReference, scaffold_with
from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator

from dinmo_pipeline.components.scaffold import DefinitionScaffolder
from dinmo_pipeline.project.load import LoadedProject, load_with_warnings_cached
from dinmo_pipeline.project.schema.definitions import definition_name

# One reading of the project for all components of one load: a reload makes another tree, and trees cannot be weakly referenced.
_newest: list[tuple[object, LoadedProject]] = []


@scaffold_with(DefinitionScaffolder)
class NamedComponent(Component):
    """A definition that the project knows by its name. Fields are described and checked by `fields_model`."""

    fields_model: ClassVar[type[BaseModel]]

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that editors complete from; it lets faults pass, because `build_defs` tells all of them with their lines."""
        return _tolerant(cls.fields_model)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> Self:
        """Return the component as written: no template is rendered, so that braces in file names stay what they are."""
        return cls(definition_name(cls.__name__, dict(attributes or {})) or "")

    @classmethod
    def get_code_references_for_yaml(cls, yaml_path: Path, source_position: object, context: object) -> Sequence[LocalFileCodeReference]:
        """Return none to Dagster: each asset leads to its definition already, also where Dagster does not read the files."""
        return ()

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """Return the Dagster objects of this definition. DefinitionErrors with every fault of the whole project."""
        return self.definitions(_project_of(context))

    def definitions(self, loaded: LoadedProject) -> Definitions:
        """Return the Dagster objects of this definition in a valid project."""
        with warnings.catch_warnings():
            # An IO manager given to its asset, and code references: what we use of them is pinned by tests.
            warnings.simplefilter("ignore", BetaWarning)
            return self.build(loaded)

    @abstractmethod
    def build(self, loaded: LoadedProject) -> Definitions:
        """Make the Dagster objects."""


def _project_of(context: ComponentLoadContext) -> LoadedProject:
    tree = context.component_tree
    if not _newest or _newest[0][0] is not tree:
        _newest[:] = [(tree, load_with_warnings_cached(context.project_root))]
    return _newest[0][1]


@cache
def _tolerant(model: type[BaseModel]) -> type[BaseModel]:
    class Tolerant(model):  # type: ignore[misc, valid-type]  # the base is only known when called
        @model_validator(mode="wrap")
        @classmethod
        def let_pass(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
            try:
                return handler(value)
            except ValidationError:
                kept: Self = cls.model_construct(**value if isinstance(value, Mapping) else {})
                return kept

    Tolerant.__name__, Tolerant.__doc__ = model.__name__, model.__doc__
    return Tolerant
