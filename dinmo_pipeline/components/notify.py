"""Who is told of failures and warnings. It makes no asset; the syncs of all activations find it."""

from __future__ import annotations

from typing import ClassVar

from dagster import Definitions
from pydantic import BaseModel

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.schema.outbound import NotifyFields


class Notify(NamedComponent):
    """Who is told of failures and warnings."""

    fields_model: ClassVar[type[BaseModel]] = NotifyFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return no definitions: the YAML alone counts."""
        return Definitions()
