"""How definitions are called in Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetKey, CodeReferencesMetadataValue, LocalFileCodeReference

from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.table_refs import TableRef


def table_key(ref: TableRef) -> AssetKey:
    """Return `models/customers`."""
    return AssetKey([ref.kind, ref.name])


def snapshot_key(activation: str) -> AssetKey:
    """Return `activations/lapsed_to_partner/snapshot`."""
    return AssetKey(["activations", activation, "snapshot"])


def delivery_key(activation: str) -> AssetKey:
    """Return `activations/lapsed_to_partner/delivery`."""
    return AssetKey(["activations", activation, "delivery"])


def trigger_key(name: str) -> AssetKey:
    """Return the asset that `after: name` waits for: `models.x`, an activation's delivery, or `a/dagster/key` as it stands."""
    if "/" in name:
        return AssetKey(name.split("/"))
    return AssetKey(name.split(".")) if "." in name else delivery_key(name)


def job_name(activation: str) -> str:
    """Return the job that refreshes what the activation needs, and delivers it."""
    return f"sync_{activation}"


def partitions_name(activation: str) -> str:
    """Return the dynamic partitions whose keys are the labels of the activation's syncs."""
    return f"syncs_{activation}"


def import_job_name(feed: str) -> str:
    """Return the job that imports the feed's files."""
    return f"import_{feed}"


def code_reference(loaded: LoadedProject, definition: str) -> Mapping[str, Any]:
    """Return metadata that leads from the asset to its definition (`models.customers`)."""
    position = loaded.positions[definition]
    reference = LocalFileCodeReference(file_path=str(position.file), line_number=position.line)
    return {"dagster/code_references": CodeReferencesMetadataValue(code_references=[reference])}
