"""An asset from its parts. Dagster's decorator reads a function's signature for each, which takes seven times as long."""

# Dagster reads the annotations of compute functions as objects, so this module's are no postponed texts.
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Config,
    HookDefinition,
    In,
    IOManager,
    IOManagerDefinition,
    Nothing,
    OpDefinition,
    Out,
    Output,
)

from dinmo_pipeline.masking import masked_errors

Computed = Iterator[Output[Any] | AssetCheckResult]
Options = TypeVar("Options", bound=Config)


def make_asset(
    spec: AssetSpec,
    compute: Callable[[AssetExecutionContext], Computed],
    *,
    io_manager: IOManager | None = None,
    config: type[Config] | None = None,
    checks: Sequence[AssetCheckSpec] = (),
    hooks: Sequence[HookDefinition] = (),
    backfill_policy: BackfillPolicy | None = None,
    required: bool = True,
) -> AssetsDefinition:
    """Return the asset of `spec`, made by `compute` and stored by `io_manager`; `config` are the options of a run.

    `required`: whether `compute` always yields an output. `checks` are told by `compute`, too.
    """
    name = spec.key.to_python_identifier()
    stores = {f"{name}__io_manager": IOManagerDefinition.hardcoded_io_manager(io_manager)} if io_manager is not None else {}

    def computed(context: AssetExecutionContext, inputs: Mapping[str, Any]) -> Computed:
        with masked_errors():
            yield from compute(context)

    dependencies = {dep.asset_key.to_python_identifier(): dep.asset_key for dep in spec.deps}
    check_outputs = {check.get_python_identifier(): check for check in checks}
    return AssetsDefinition(
        node_def=OpDefinition(
            compute_fn=computed,
            name=name,
            description=spec.description,
            ins={dependency: In(Nothing) for dependency in dependencies},
            outs={
                "result": Out(is_required=required, io_manager_key=next(iter(stores), None)),
                **{output: Out(Nothing, io_manager_key=next(iter(stores), None)) for output in check_outputs},
            },
            config_schema=_schema(config) if config is not None else None,
        ),
        keys_by_input_name=dependencies,
        keys_by_output_name={"result": spec.key},
        check_specs_by_output_name=check_outputs,
        resource_defs=stores,
        specs=[spec],
        hook_defs=set(hooks),
        backfill_policy=backfill_policy,
    )


@cache
def _schema(config: type[Config]) -> Any:
    return config.to_config_schema()


def options_of(context: AssetExecutionContext, config: type[Options]) -> Options:
    """Return what whoever launched the run chose; the defaults where that is nothing."""
    return config(**context.op_execution_context.op_config)
