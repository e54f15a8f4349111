"""What Dagster gets of a project: assets with their lineage, jobs, schedules; the same whether it reads the files itself or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DefaultScheduleStatus,
    Definitions,
    RepositoryDefinition,
    RunRequest,
    ScheduleDefinition,
    build_schedule_context,
    load_from_defs_folder,
)

from dinmo_pipeline.components import project_definitions, project_repository
from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.project.load import LoadedProject, load_with_warnings

from ..people import activation, make_people
from .conftest import Dagster

ROOT = Path(__file__).resolve().parents[2]
PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture(scope="module")
def example() -> Definitions:
    """The example shop, not read by Dagster."""
    return project_definitions(load_with_warnings(ROOT))


def test_lineage_goes_from_model_over_segment_and_snapshot_to_delivery(example: Definitions) -> None:
    graph = example.resolve_asset_graph()

    def parents(*path: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(AssetKey(path)).parent_keys}

    assert parents("activations", "lapsed_to_partner", "delivery") == {"activations/lapsed_to_partner/snapshot"}
    assert parents("activations", "lapsed_to_partner", "snapshot") == {"segments/lapsed"}
    assert parents("segments", "lapsed") == {"models/customers"}
    assert "models/orders" in parents("models", "customers")
    assert parents("models", "orders") == {"entities/orders", "entities/ordersitems"}
    assert parents("entities", "orders") == {"feeds/orders_till"}
    # full_only compares with nothing: straight from the table.
    assert parents("activations", "products_to_marketplace", "delivery") == {"models/products"}


def test_every_asset_has_words_a_group_and_its_definition(example: Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in example.resolve_all_asset_specs()}

    assert all(spec.description for spec in specs.values())
    assert {spec.group_name for spec in specs.values()} == {
        "feeds",
        "entities",
        "models",
        "segments",
        *load_with_warnings(ROOT).project.activations,
    }
    delivery = specs["activations/thank_you_to_mailing/delivery"]
    assert delivery.description == "Sends segments.big_spenders to partners, as ndjson: the rows that were never sent before."
    assert delivery.kinds == {"ndjson", "file"}
    assert delivery.metadata["sync mode"] == "insert"
    for spec in specs.values():
        (reference,) = spec.metadata["dagster/code_references"].value.code_references
        line = Path(reference.file_path).read_text(encoding="utf-8").splitlines()[reference.line_number - 1]
        assert line.startswith("type: dinmo_pipeline."), "it leads to the line where the document begins"
    assert specs["models/orders"].metadata["sql"].value.startswith("```sql\nSELECT\n    orders.order AS order_id,")


def test_job_of_an_activation_refreshes_all_that_it_needs(example: Definitions) -> None:
    job = example.get_repository_def().get_job("sync_lapsed_to_partner")

    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
        "models/orders",
        "models/customers",
        "segments/lapsed",
        "activations/lapsed_to_partner/snapshot",
        "activations/lapsed_to_partner/delivery",
    }
    assert job.description is not None
    assert "Add a partition" in job.description


def test_dagster_reading_the_files_finds_the_same(example: Definitions) -> None:
    loaded = load_from_defs_folder(path_within_project=ROOT)

    def shape(definitions: Definitions) -> list[tuple[object, ...]]:
        return sorted(
            (spec.key.to_user_string(), spec.description, spec.group_name, sorted(spec.kinds), sorted(map(str, spec.deps)))
            for spec in definitions.resolve_all_asset_specs()
        )

    assert shape(loaded) == shape(example)
    assert {job.name for job in loaded.resolve_all_job_defs()} == {job.name for job in example.resolve_all_job_defs()}
    (reference,) = next(iter(loaded.resolve_all_asset_specs())).metadata["dagster/code_references"].value.code_references
    assert reference.line_number is not None


def test_delivery_shows_its_format_with_all_options_and_its_consumer(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes") + activation("more", consumer="mariadb", format="{type: csv, null_text: '-'}"))
    graph = project_definitions(load_with_warnings(root)).resolve_asset_graph()
    plain, more = (graph.get(AssetKey(["activations", name, "delivery"])).metadata for name in ("changes", "more"))

    assert (plain["format"], "consumer" in plain) == ("csv", False)
    assert (more["format"], more["consumer"]) == ('csv with booleans: 1/0, timestamps: sql, null_text: "-"', "mariadb")


def test_deps_make_edges_to_other_assets(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes"))
    path = root / "defs" / "people" / "defs.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("primary_key: [id]", "primary_key: [id], deps: [dbt/people]"), encoding="utf-8"
    )

    graph = project_definitions(load_with_warnings(root)).resolve_asset_graph()

    assert graph.get(AssetKey(["models", "people"])).parent_keys == {AssetKey(["dbt", "people"])}


def schedule_of(root: Path, name: str) -> ScheduleDefinition:
    found = project_definitions(load_with_warnings(root)).get_repository_def().get_schedule_def(name)
    assert isinstance(found, ScheduleDefinition)
    return found


@pytest.fixture
def scheduled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DINMO_AUTOSTART", raising=False)
    return make_people(
        tmp_path,
        activation("changes", schedule='["0 7 * * *", "30 19 * * 1-5"]', timezone="Europe/Paris", file_name='"{YYYY}-{MM}-{DD}T{HH}"'),
    )


def test_schedule_has_all_crons_and_the_activations_zone(scheduled: Path) -> None:
    schedule = schedule_of(scheduled, "changes_schedule")

    assert schedule.cron_schedule == ["0 7 * * *", "30 19 * * 1-5"]
    assert schedule.execution_timezone == "Europe/Paris"
    assert schedule.default_status == DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "sync_changes"


def test_autostart_starts_schedules(scheduled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_AUTOSTART", "1")

    assert schedule_of(scheduled, "changes_schedule").default_status == DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(("day", "hour"), [(29, "06"), (30, "05"), (31, "05")])
def test_tick_around_the_change_of_clocks_names_the_right_instant(
    scheduled: Path, in_dagster: Callable[[Path], Dagster], day: int, hour: str
) -> None:
    # On 30 March 2025 Paris goes from UTC+1 to UTC+2.
    request = evaluate(scheduled, in_dagster(scheduled).instance, datetime(2025, 3, day, 7, tzinfo=PARIS))

    assert request.partition_key == f"2025-03-{day}T{hour}-00-00.000Z"


def evaluate(root: Path, instance: DagsterInstance, tick: datetime) -> RunRequest:
    repository = project_definitions(load_with_warnings(root)).get_repository_def()
    context = build_schedule_context(instance=instance, scheduled_execution_time=tick, repository_def=repository)
    (request,) = repository.get_schedule_def("changes_schedule").evaluate_tick(context).run_requests or []
    return request


def test_tick_adds_its_partition_and_requests_it(scheduled: Path, in_dagster: Callable[[Path], Dagster]) -> None:
    dagster = in_dagster(scheduled)
    # A tick that is evaluated twice asks for the same run.
    requests = [evaluate(scheduled, dagster.instance, datetime(2025, 4, 14, 7, tzinfo=PARIS)) for _ in range(2)]

    assert [(request.partition_key, request.run_key) for request in requests] == [("2025-04-14T05-00-00.000Z",) * 2] * 2
    assert dagster.instance.get_dynamic_partitions("syncs_changes") == ["2025-04-14T05-00-00.000Z"]

    result = dagster.run("changes", "2025-04-14T05-00-00.000Z")
    assert result.success
    # The instant is the tick's, whenever the run starts; the name shows it in the activation's zone.
    assert [path.name for path in (scheduled / "out" / "changes").iterdir()] == ["2025-04-14T07.csv"]


def test_broken_project_lists_every_error_when_dagster_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dinmo_pipeline.definitions import defs

    root = make_people(tmp_path, activation("first", format="cvs") + activation("second", foldr="x"))
    monkeypatch.chdir(root)

    with pytest.raises(DefinitionErrors) as caught:
        defs()

    assert [problem.line for problem in caught.value.problems] == [17, 33]


def test_definitions_of_a_minimal_project_load_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dinmo_pipeline.definitions import defs

    monkeypatch.chdir(make_people(tmp_path))

    loaded = defs()

    assert isinstance(loaded, RepositoryDefinition)
    assert {name for name in loaded.job_names if not name.startswith("__")} == {
        "sync_everyone",
        "sync_changes",
        "sync_newcomers",
        "sync_triple",
    }


def test_run_makes_the_objects_of_its_own_activation_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    definitions = NamedComponent.definitions

    def told(component: NamedComponent, loaded: LoadedProject) -> Definitions:
        made.append(component.name)
        return definitions(component, loaded)

    monkeypatch.setattr(NamedComponent, "definitions", told)
    repository = project_repository(load_with_warnings(make_people(tmp_path)))

    job = repository.get_job("sync_changes")

    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {
        "models/people",
        "activations/changes/snapshot",
        "activations/changes/delivery",
    }
    assert made == ["people", "changes"]


def test_repository_has_all_that_the_definitions_have(example: Definitions) -> None:
    whole, lazily = example.get_repository_def(), project_repository(load_with_warnings(ROOT))

    assert sorted(lazily.job_names) == sorted(whole.job_names)
    assert {schedule.name for schedule in lazily.schedule_defs} == {schedule.name for schedule in whole.schedule_defs}
    assert lazily.asset_graph.get_all_asset_keys() == whole.asset_graph.get_all_asset_keys()
    assert lazily.name == whole.name
    for name in whole.job_names:
        steps = [set(found.get_job(name).asset_layer.selected_asset_keys) for found in (lazily, whole)]
        assert steps[0] == steps[1]
