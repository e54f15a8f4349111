"""The sensor behind every `after:`: it asks for a sync when what the activation comes after was refreshed or delivered."""

# Dagster reads the annotations of decorated functions as objects, so this module's are no postponed texts.
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    EventLogRecord,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from dinmo_pipeline.components.asset_keys import delivery_key, job_name, trigger_key
from dinmo_pipeline.components.automation.jobs import AUTOSTART, activation_job, sync_request
from dinmo_pipeline.io_managers.warehouse import REUSED
from dinmo_pipeline.project.specs import Project

_TAG = "dinmo/after"
_SECONDS = 30
# More than are made between two looks; what is left is seen at the next one.
_AT_ONCE = 200


@dataclass(frozen=True)
class _Refresh:
    """A materialization, and the run that made it; none where somebody only reported it."""

    record: EventLogRecord
    run: DagsterRun | None


def after_sensor(project: Project) -> SensorDefinition:
    """Return one sensor for all activations. What happened before it first looked starts nothing."""
    running = os.environ.get(AUTOSTART) == "1"
    specs = [project.activations[name] for name in sorted(project.started_after_others)]
    deliveries = {delivery_key(name): name for name in project.activations}

    @sensor(
        name="after",
        jobs=[activation_job(project, spec) for spec in specs],
        minimum_interval_seconds=_SECONDS,
        default_status=DefaultSensorStatus.RUNNING if running else DefaultSensorStatus.STOPPED,
        description="Starts the activations that say `after:` when what they name was refreshed or delivered.",
    )
    def after(context: SensorEvaluationContext) -> SensorResult:
        seen: dict[str, int] = json.loads(context.cursor) if context.cursor else {}
        keys = {name: trigger_key(name) for spec in specs for name in spec.after}
        news = {name: tuple(_news(context.instance, key, seen.get(name))) for name, key in keys.items()}
        now = project.clock()
        answers = []
        for spec in specs:
            causes = [
                (each.record.storage_id, name)
                for name in spec.after
                for each in news[name]
                if _starts(each, spec.name, delivery=keys[name] in deliveries)
            ]
            if causes:
                newest, name = max(causes)
                answers.append(
                    sync_request(context.instance, project, spec, now, run_key=f"{spec.name}:{newest}", tags={_TAG: name.replace("/", ".")})
                )
        requests = [request for request in answers if isinstance(request, RunRequest)]
        dropped = [str(request.skip_message) for request in answers if isinstance(request, SkipReason)]
        for words in dropped:
            context.log.info(words)
        return SensorResult(
            run_requests=requests,
            cursor=json.dumps(_seen_now(context.instance, keys, news, seen)),
            skip_reason=None if requests else "; ".join(dropped) or "nothing that an activation comes after was refreshed since",
        )

    return after


def _news(instance: DagsterInstance, key: AssetKey, since: int | None) -> Iterator[_Refresh]:
    """Yield what was materialized since, oldest first; nothing at the first look."""
    if since is None:
        return
    found = instance.fetch_materializations(AssetRecordsFilter(asset_key=key, after_storage_id=since), limit=_AT_ONCE, ascending=True)
    for record in found.records:
        yield _Refresh(record, instance.get_run_by_id(record.run_id) if record.run_id else None)


def _starts(refresh: _Refresh, activation: str, *, delivery: bool) -> bool:
    """Return whether it starts the activation.

    It does not if it is what its own sync refreshed, and no table that a sync which came after something refreshed.

    Else two activations that come after one model would start each other for ever. A delivery starts those after it, always; a table
    that was reused was not refreshed.
    """
    made = refresh.record.asset_materialization
    if made is not None and REUSED in made.metadata:
        return False
    if refresh.run is None:
        return True
    return refresh.run.job_name != job_name(activation) and (delivery or _TAG not in refresh.run.tags)


def _seen_now(
    instance: DagsterInstance, keys: Mapping[str, AssetKey], news: Mapping[str, Sequence[_Refresh]], seen: Mapping[str, int]
) -> dict[str, int]:
    newest = {name: refreshes[-1].record.storage_id for name, refreshes in news.items() if refreshes}
    first_looks = {name: _newest(instance, key) for name, key in keys.items() if name not in seen}
    return {name: (first_looks | dict(seen) | newest)[name] for name in keys}


def _newest(instance: DagsterInstance, key: AssetKey) -> int:
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else 0
