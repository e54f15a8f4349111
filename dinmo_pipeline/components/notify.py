"""Who is told of failures and warnings. It makes no asset; the syncs of all activations find it."""

from __future__ import annotations

from typing import ClassVar

from dagster import Definitions
from pydantic import BaseModel

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.project.fields import NotifyFields
from dinmo_pipeline.project.load import LoadedProject


class Notify(NamedComponent):
    """Who is told of failures and warnings."""

    fields_model: ClassVar[type[BaseModel]] = NotifyFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Nothing of its own."""
        return Definitions()
