"""What is handed to an fsspec filesystem: plain values, and references to secrets and settings, read when a connection is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.masking import reads_like_secret, remember_secret
from dinmo_pipeline.secrets import Secret, SettingReference, is_reference, read_reference

_WHERE = (
    *("host", "hostname", "server", "port", "base_url", "url", "endpoint", "endpoint_url", "account", "account_name", "namespace"),
    *("username", "user", "repo", "repo_id", "project", "drive", "root_file_id", "share"),
)
"""Options that say who and where the consumer is: no secrets, and a base belongs to them."""


def _read(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise PydanticCustomError("options", "expected a mapping of the filesystem's own options")
    return {name: _read_value(each, name) for name, each in value.items()}


def _read_value(value: Any, name: str) -> Any:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping):
        if is_reference(value):
            return read_reference(value, SettingReference if name in _WHERE else Secret)
        return {key: _read_value(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        # Of a pair of user and password the first may be read by anybody.
        return [_read_value(each, name if place else "") for place, each in enumerate(value)]
    if isinstance(value, str) and (name == "auth" or reads_like_secret(f"{name}={value}") or reads_like_secret(value)):
        # The value stays out of the message: it may be the secret itself.
        raise PydanticCustomError("options", f"{name}: expected {{env: NAME}} or {{file: PATH}}, because secrets are never written in YAML")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise PydanticCustomError(
        "options", f"{name}: expected text, a number, true, false, a list, a mapping, {{env: NAME}} or {{file: PATH}}"
    )


Options = Annotated[dict[str, Any], BeforeValidator(_read), WithJsonSchema({"type": "object", "additionalProperties": True})]
"""The options of a filesystem, in which `{env: NAME}` and `{file: PATH}` may stand at any depth."""


def where(options: Mapping[str, Any]) -> str:
    """Return those of the options that say who and where the consumer is, as a part of an address; empty when there are none."""
    told = {name: options[name] for name in _WHERE if isinstance(options.get(name), str | int | Secret)}
    return " ".join(f"{name}={value if isinstance(value, Secret) else json.dumps(value)}" for name, value in told.items())


def resolved(options: Mapping[str, Any], project_root: Path, *, storage: str) -> dict[str, Any]:
    """Return the options with all references read; PermanentStorageError when one leads nowhere."""
    return {name: _resolved(value, project_root, f"{name} of storage {storage}") for name, value in options.items()}


def resolved_where(options: Mapping[str, Any], project_root: Path, *, storage: str) -> str:
    """`where` with its references read; no secret among the options is looked at."""
    return where(resolved({name: value for name, value in options.items() if name in _WHERE}, project_root, storage=storage))


def _resolved(value: Any, project_root: Path, what: str) -> Any:
    if isinstance(value, Secret):
        read = value.resolve(project_root, what=what)
        # What says where the consumer is stands in messages and in the log of an activation.
        if isinstance(value, SettingReference) and reads_like_secret(read):
            remember_secret(read)
            raise PermanentStorageError(f"could not use {what}: {value} holds a secret: move it to an option of its own, such as password")
        return read
    if isinstance(value, dict):
        return {name: _resolved(each, project_root, f"{name} in {what}") for name, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, project_root, what) for each in value]
    return value
