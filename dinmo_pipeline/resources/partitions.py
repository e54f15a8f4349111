"""What a partition means for the names of its files: variables, and the instant that the time variables tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from dagster import AssetKey, MultiPartitionKey, MultiPartitionsDefinition, PartitionsDefinition, TimeWindowPartitionsDefinition


def partition_variables(partition_key: str | None) -> Mapping[str, str]:
    """Return `partition`, and `partition.NAME` for each dimension of a key that has several; none for no partition."""
    if partition_key is None:
        return {}
    dimensions = partition_key.keys_by_dimension if isinstance(partition_key, MultiPartitionKey) else {}
    return {"partition": str(partition_key), **{f"partition.{name}": key for name, key in dimensions.items()}}


def window_start(definition: PartitionsDefinition | None, partition_key: str | None) -> datetime | None:
    """Return the first instant of the partition's time window; None where it has no window."""
    if partition_key is None:
        return None
    if isinstance(definition, TimeWindowPartitionsDefinition):
        return definition.time_window_for_partition_key(partition_key).start
    if isinstance(definition, MultiPartitionsDefinition) and isinstance(partition_key, MultiPartitionKey):
        for dimension in definition.partitions_defs:
            if isinstance(dimension.partitions_def, TimeWindowPartitionsDefinition):
                return window_start(dimension.partitions_def, partition_key.keys_by_dimension[dimension.name])
    return None


def sibling_keys(definition: PartitionsDefinition, partition_key: str) -> list[str]:
    """Return partitions that must not share a file with this one: those next to it in time, else one that differs in each dimension."""
    if isinstance(definition, MultiPartitionsDefinition):
        key = cast(MultiPartitionKey, partition_key)
        return [
            MultiPartitionKey({**key.keys_by_dimension, dimension.name: other})
            for dimension in definition.partitions_defs
            for other in sibling_keys(dimension.partitions_def, key.keys_by_dimension[dimension.name])
        ]
    if isinstance(definition, TimeWindowPartitionsDefinition):
        window = definition.time_window_for_partition_key(partition_key)
        beside = (definition.get_prev_partition_window(window.start), definition.get_next_partition_window(window.end))
        return [definition.get_partition_key_range_for_time_window(other).start for other in beside if other is not None]
    # Whatever else it is: names that do not have the key in them are the same for this one.
    return [f"{partition_key}-other"]


def asset_variable(key: AssetKey) -> str:
    """Return an asset's key as a part of a name."""
    return "__".join(key.path)
