"""The IO manager for anyone's assets: what one returns becomes files at a storage, and files become what another one asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args, get_origin

from dagster import ConfigurableIOManager, InitResourceContext, InputContext, OutputContext
from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from dinmo_pipeline.catalog.failures import failing
from dinmo_pipeline.dataframes.file_layout import FileLayout
from dinmo_pipeline.dataframes.read import FileReader
from dinmo_pipeline.dataframes.write import FileWriter, WrittenFiles
from dinmo_pipeline.errors import CallError, DataError
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.local_files.scratch import locked_scratch_folder
from dinmo_pipeline.project.schema.file_names import template_problems
from dinmo_pipeline.project.settings import timezone_problem
from dinmo_pipeline.resources.event_log import AssetPartition, announce, files_metadata, left_temporary_paths, recorded_files, writer_of
from dinmo_pipeline.resources.partitions import asset_variable, partition_variables, sibling_keys, window_start
from dinmo_pipeline.resources.storages import StorageResource, model_problems
from dinmo_pipeline.suggestions import nearest_hint

_DIMENSION = re.compile(r"\{(partition\.[^{}]+)\}")


class FileIOManager(ConfigurableIOManager):
    """Writes what an asset returns to a file, or several, and reads them back as the type that a downstream asset asks for.

    Takes DataFrames of pandas and polars, LazyFrames, PyArrow tables, readers and datasets, DuckDB relations, a text of SQL, iterators of
    these. A file appears whole: under a temporary name, verified, moved. A run that fails leaves the old one as it was.

    `folder` and `file_name` take {asset}, {partition}, {partition.NAME} of a partition with dimensions, {run_id}, and the time as
    {YYYY} {YY} {MM} {DD} {HH} {mm} {ss} {ms} {X} {x}: the start of the partition's window, else of the run.
    """

    storage: StorageResource
    format: dict[str, Any] = Field(description="The format with its options, as an activation has them: type is csv, json, ndjson, …")
    folder: str = Field(default=".", description="The folder at the storage; `.` is its start.")
    file_name: str = Field(default="{asset}", description="The file's name; the format's extension is added.")
    extension: str | None = Field(default=None, description="What the name ends in instead of the format's own extension.")
    timezone: str = Field(default="UTC", description="The IANA time zone of timestamps and of the time in names.")
    max_rows: int | None = Field(default=None, ge=1, description="The rows of a file at most: parts are numbered from 1.")
    create_folder: bool = Field(default=True, description="Whether the folder is made where it is missing.")
    database: str | None = Field(default=None, description="The DuckDB file whose tables an asset's SQL reads.")

    _opened: ExitStack = PrivateAttr(default_factory=ExitStack)

    @model_validator(mode="before")
    @classmethod
    def _has_known_options(cls, values: Any) -> Any:
        """Refuse an option that is none: Dagster would pass over it."""
        if isinstance(values, Mapping) and (unknown := [name for name in values if name not in cls.model_fields]):
            raise CallError(f"FileIOManager: {unknown[0]!r} is no option of it{nearest_hint(unknown[0], cls.model_fields)}")
        return values

    @field_validator("format")
    @classmethod
    def _is_a_format(cls, value: dict[str, Any]) -> dict[str, Any]:
        read_format(value)
        return value

    @field_validator("folder", "file_name")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        known = {"asset", "run_id", "partition", *_DIMENSION.findall(value)}
        if problems := template_problems(value, known):
            raise CallError(f"folder and file_name: {'; '.join(problems)}")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        if (problem := timezone_problem(value)) is not None:
            raise CallError(f"timezone: {problem}")
        return value

    @failing
    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write the rows of `obj`; adds rows, bytes, columns and files to the materialization.

        A run of several partitions gives a mapping of their keys to values.
        """
        if not context.has_asset_key:
            raise CallError(f"writing {context.name} of an op: FileIOManager writes assets; make it one, or call write_file in the op")
        name = context.asset_key.to_user_string()
        if not context.has_asset_partitions:
            values: Mapping[str | None, Any] = {None: obj}
        else:
            keys = list(context.asset_partition_keys)
            values = {keys[0]: obj} if len(keys) == 1 and not isinstance(obj, Mapping) else obj
            if not isinstance(values, Mapping) or set(values) != set(keys):
                raise DataError(
                    f"writing {name}: a run of {len(keys):,} partitions returns a dict of each partition's key to its rows, no key more "
                    "and none less; or let each partition have a run of its own"
                )
        if nothing := [key for key, value in values.items() if value is None]:
            of = AssetPartition(context.asset_key, nothing[0])
            raise DataError(f"writing {of}: it returned nothing; return its rows, or annotate it `-> None`")
        write = _AssetWrite(context, self.writer())
        written = {key: write.write(value, key) for key, value in values.items()}
        context.add_output_metadata(files_metadata(written, self.format, self.timezone))

    @failing
    def load_input(self, context: InputContext) -> Any:
        """Return the rows of the newest materialization, as the input's annotation says; of several partitions a dict.

        The input's metadata may name `columns`, and with `allow_missing_partitions` leaves out partitions that were not made yet.
        """
        wanted = context.dagster_type.typing_type
        if not context.has_asset_partitions:
            return self._read(context, wanted, None)
        keys = list(context.asset_partition_keys)
        if len(keys) == 1:
            return self._read(context, wanted, keys[0])
        of_each = get_args(wanted)[-1] if get_origin(wanted) in (dict, Mapping) else None
        if context.definition_metadata.get("allow_missing_partitions"):
            keys = [key for key in keys if recorded_files(context.instance, AssetPartition(context.asset_key, key)) is not None]
        return {key: self._read(context, of_each, key) for key in keys}

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Let go what inputs were read from: lazy values are of no use any more."""
        self._opened.close()

    def _read(self, context: InputContext, wanted: Any, partition_key: str | None) -> Any:
        of = AssetPartition(context.asset_key, partition_key)
        recorded = recorded_files(context.instance, of)
        storage = self.storage.definition()
        if recorded is None or recorded.written.address != storage.resolved_address(Path.cwd()):
            raise CallError(
                f"reading {of}: nothing is known of a file of it at {storage.address}; materialize it first, with this IO manager"
            )
        reader = FileReader(storage, read_format(recorded.format_options), recorded.timezone, Path.cwd())
        folder = self._opened.enter_context(locked_scratch_folder())
        return reader.read(recorded.written, wanted, folder, only=context.definition_metadata.get("columns"))

    def writer(self) -> FileWriter:
        """Return what writes the files, for whoever has no asset."""
        form = read_format(self.format)
        return FileWriter(
            storage=self.storage.definition(),
            format=form,
            layout=FileLayout(self.folder, self.file_name, form.extension, self.extension, self.timezone),
            root=Path.cwd(),
            max_rows=self.max_rows,
            create_folder=self.create_folder,
            database=Path(self.database) if self.database is not None else None,
        )


def read_format(options: Mapping[str, Any]) -> Format:
    """Return the format as the options say. CallError for an unknown type, an unknown option, a value that it does not take."""
    kind = options.get("type")
    if kind not in FORMATS:
        raise CallError(f"format: its `type` is {kind!r}{nearest_hint(str(kind), FORMATS)}")
    try:
        return FORMATS[kind].model_validate(dict(options))
    except ValidationError as error:
        raise CallError(f"format {kind}: {model_problems(error)}") from None


class _AssetWrite:
    """One step's write: of an asset, or of each partition that the step makes."""

    def __init__(self, context: OutputContext, writer: FileWriter) -> None:
        self._context = context
        self._writer = writer
        self._instance = context.step_context.instance
        self._address = writer.storage.resolved_address(writer.root)
        self._definition = context.asset_partitions_def if context.has_asset_partitions else None

    def write(self, value: Any, partition_key: str | None) -> WrittenFiles:
        """Write the rows of one partition, or of the asset that has none, and tidy what a killed run of it has left."""
        context, of = self._context, AssetPartition(self._context.asset_key, partition_key)
        if partition_key is not None:
            self._require_own_file(of, partition_key)
        self._require_no_other_asset(of, partition_key)
        if left := left_temporary_paths(self._instance, of, self._address):
            for note in self._writer.tidy(left):
                context.log.warning(note)
        before = recorded_files(self._instance, of)
        return self._writer.write(
            value,
            self._instant(partition_key),
            self._variables(partition_key),
            before=[file.path for file in before.written.files] if before is not None and before.written.address == self._address else (),
            announce=partial(announce, self._instance, of, context.run_id, self._address),
        )

    def _require_own_file(self, of: AssetPartition, partition_key: str) -> None:
        """Raise CallError where another partition would be written in the place of this one."""
        assert self._definition is not None, "it has a partition"
        own = self._path(partition_key)
        for other in sibling_keys(self._definition, partition_key):
            if self._path(other) == own:
                raise CallError(
                    f"writing {of}: its file is {own}, and so is that of other partitions, such as {other}; put {{partition}} into "
                    "folder or file_name, or the time of its window"
                )

    def _require_no_other_asset(self, of: AssetPartition, partition_key: str | None) -> None:
        """Raise CallError where another asset's file would be lost. One whose key changed is another asset, too."""
        layout = self._writer.layout
        if "{asset}" in layout.file_name + layout.folder:
            return
        path = self._path(partition_key)
        if (other := writer_of(self._instance, self._address, path, but=of.asset_key)) is not None:
            raise CallError(
                f"writing {of}: {path} is the file of the asset {other.to_user_string()}, which would be lost; put {{asset}} into folder "
                "or file_name, or, if that asset is no more, wipe its materializations in Dagster"
            )

    def _path(self, partition_key: str | None) -> str:
        return self._writer.layout.at(self._instant(partition_key), self._variables(partition_key)).path()

    @cached_property
    def _run_start(self) -> datetime:
        """When the run was made, so that a step that is tried again writes to the same names."""
        record = self._instance.get_run_record_by_id(self._context.run_id)
        return record.create_timestamp if record is not None else datetime.now(UTC)

    def _instant(self, partition_key: str | None) -> datetime:
        return window_start(self._definition, partition_key) or self._run_start

    def _variables(self, partition_key: str | None) -> Mapping[str, str]:
        names = {"asset": asset_variable(self._context.asset_key), "run_id": self._context.run_id}
        return {**names, **partition_variables(partition_key)}
