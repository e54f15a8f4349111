"""The sensor of an inbox: it looks for files, and asks for one run of each feed that has files which are due."""

# Dagster reads the annotations of decorated functions as objects, so this module's are no postponed texts.
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    define_asset_job,
    sensor,
)

from dinmo_pipeline.catalog.import_events import OPEN, feed_check
from dinmo_pipeline.components.asset_keys import import_job_name, table_key
from dinmo_pipeline.components.automation.jobs import AUTOSTART, IN_ONE_PROCESS
from dinmo_pipeline.components.descriptions import describe_import
from dinmo_pipeline.errors import BusyError, StorageError
from dinmo_pipeline.inbound.inbox.discovery import InboxScan
from dinmo_pipeline.inbound.troubles.alerts import notify_troubles
from dinmo_pipeline.inbound.troubles.set_aside import SetAside, pause_after
from dinmo_pipeline.masking import masked_errors
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.project.specs import Project

# A run that has begun to import holds the inbox; one that is older than this and does not is dead.
_BEGINNING = timedelta(minutes=10)
_BEGUN = {DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING}
# So many failures in a row reach the longest pause.
_REMEMBERED = 8
# Of the minute that Dagster gives a tick.
_BUDGET_S = 20.0


def import_job(feed: FeedSpec) -> Any:
    """Return the job that imports the files of a feed that are due, in one process and with one connection."""
    return define_asset_job(
        import_job_name(feed.name),
        selection=AssetSelection.assets(table_key(feed.ref)),
        description=describe_import(feed),
        executor_def=IN_ONE_PROCESS,
    )


def inbox_sensor(project: Project, inbox: InboxSpec, jobs: Sequence[Any]) -> SensorDefinition:
    """Return the sensor that scans the inbox every `poll_seconds`. `jobs` are those of the inbox's feeds."""
    running = os.environ.get(AUTOSTART) == "1"
    # A tick has a minute, and the next one is the next try.
    storage = project.storages[inbox.storage].model_copy(update={"retries": 0})
    hasty = replace(project, storages={**project.storages, inbox.storage: storage})

    @sensor(
        name=f"{inbox.name}_inbox",
        jobs=jobs,
        minimum_interval_seconds=inbox.poll_seconds,
        default_status=DefaultSensorStatus.RUNNING if running else DefaultSensorStatus.STOPPED,
        description=f"Looks for new files in folder {inbox.folder} of {inbox.storage}, and imports those that are whole.",
    )
    def arrivals(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        # With it comes Arrow: only who looks into inboxes waits for that.
        from dinmo_pipeline.inbound.import_pass import InboxPass

        try:
            with masked_errors(), InboxPass(hasty, inbox.name, wait_s=0, hasty=True) as held:
                seen = held.look()
        except BusyError:
            return SkipReason(f"files of inbox {inbox.name} are being imported")
        except Exception as error:
            # Of a storage that fails once in a while is what the look itself keeps as a trouble.
            _tell(context, project, inbox, None if isinstance(error, StorageError) else error)
            raise
        _tell(context, project, inbox, None)
        for line in seen.told_strangers():
            context.log.warning(line)
        now = project.clock()
        due, resting = _due(seen, [feed.name for feed in project.feeds.values() if feed.inbox == inbox.name], now)
        pauses = {name: pause for name in due if (pause := _pause(context.instance, name, now)) is not None}
        wanted = [name for name in due if name not in pauses]
        feeds = [feed for feed in project.feeds.values() if feed.inbox == inbox.name and feed.name not in wanted]
        return SensorResult(
            # For no partition: the run takes what it finds and tells of each file, where Dagster would plan each beforehand.
            run_requests=[RunRequest(job_name=import_job_name(name)) for name in wanted],
            skip_reason=None if wanted else "; ".join(_why_nothing(seen, [*pauses.values(), *resting])),
            # What a run does not tell, as none is asked for: a stranger, or a trouble that is over.
            asset_events=[] if seen.cut_off else [*_changed_checks(context.instance, project, feeds)],
        )

    return arrivals


def _tell(context: SensorEvaluationContext, project: Project, inbox: InboxSpec, error: Exception | None) -> None:
    for line in notify_troubles(project, inbox.name, error=error, budget_s=_BUDGET_S):
        context.log.warning(line)


def _due(seen: InboxScan, feeds: Sequence[str], now: datetime) -> tuple[list[str], list[str]]:
    """Return the feeds that a run is due of, and why one is not yet due of others: their files were set aside, and rest."""
    due = dict.fromkeys(arrival.match.feed.name for arrival in seen.fresh())
    aside: dict[str, list[SetAside]] = {}
    for each in seen.set_aside:
        if each.feed in feeds and each.feed not in due:
            aside.setdefault(each.feed, []).append(each)
    again = {name: min(each.next_try for each in files) for name, files in aside.items()}
    due |= {name: None for name, instant in again.items() if instant <= now}
    if seen.cut_off and not due:
        # Any of its feeds finishes what an earlier run left.
        due = dict.fromkeys(feeds[:1])
    resting = [
        f"{len(aside[name])} files of {name} are set aside; the next try is at {instant.astimezone(UTC):%H:%M:%S} UTC"
        for name, instant in again.items()
        if name not in due
    ]
    return [*due], resting


def _changed_checks(instance: DagsterInstance, project: Project, feeds: Sequence[FeedSpec]) -> Iterator[AssetCheckEvaluation]:
    """Yield the checks of these feeds that are otherwise now than when they were last told."""
    for feed in feeds:
        check = feed_check(project, feed)
        record = instance.get_latest_asset_check_evaluation_record(check.asset_check_key)
        before = None if record is None else record.evaluation
        if record is None:
            if not check.passed:
                yield check
        # A run that was killed has only planned it.
        elif not isinstance(before, AssetCheckEvaluation) or _told(before) != _told(check):
            yield check


def _told(check: AssetCheckEvaluation) -> tuple[bool, Any]:
    return check.passed, check.metadata.get(OPEN)


def _why_nothing(seen: InboxScan, pauses: Sequence[str]) -> Iterator[str]:
    yield from pauses
    if seen.waiting:
        yield f"{len(seen.waiting)} files are not whole yet, such as {seen.waiting[0]}"
    elif not pauses:
        yield "there is no new file"


def _pause(instance: DagsterInstance, feed: str, now: datetime) -> str | None:
    """Return why no run of the feed is asked for now: one is on its way, or the last ones failed; else None."""
    records = instance.get_run_records(RunsFilter(job_name=import_job_name(feed)), limit=_REMEMBERED)
    if any(_is_on_its_way(record, now) for record in records):
        return f"a run of {feed} is on its way"
    failures = len(list(takewhile(lambda record: record.dagster_run.status != DagsterRunStatus.SUCCESS, records)))
    if not failures:
        return None
    again = _last_seen(records[0]) + pause_after(failures)
    if now >= again:
        return None
    return f"the last {failures} runs of {feed} failed; the next try is at {again:%H:%M:%S} UTC"


def _is_on_its_way(record: RunRecord, now: datetime) -> bool:
    status = record.dagster_run.status
    return status == DagsterRunStatus.QUEUED or (status in _BEGUN and now - _last_seen(record) < _BEGINNING)


def _last_seen(record: RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp.replace(tzinfo=UTC)
