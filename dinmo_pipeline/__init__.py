"""dinmo-pipeline: tables in, files out, that other systems can rely on.

The names of the components (`dinmo_pipeline.Activation` in YAML) are found here; they are imported when first asked for, so that
`import dinmo_pipeline` does not cost the import of Dagster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dinmo_pipeline.time_zones import use_pinned_time_zones

if TYPE_CHECKING:
    from dinmo_pipeline.components import Activation, Feed, Inbox, Model, Notify, Segment

# Here, because Dagster's daemon, code servers and runs import nothing else of this package for certain.
use_pinned_time_zones()

_COMPONENTS = "dinmo_pipeline.components"

__all__ = ["Activation", "Feed", "Inbox", "Model", "Notify", "Segment"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    # Submodules, `__path__` and the like are looked up by their own ways first; capitals are components alone.
    if name[:1].isupper():
        try:
            return import_module(_COMPONENTS).COMPONENTS[name]
        except KeyError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted({*globals(), *import_module(_COMPONENTS).COMPONENTS})
