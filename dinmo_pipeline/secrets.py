"""Secrets: where one is to be found, never what it is.

A definition holds `{env: NAME}` or `{file: PATH}`; the text itself is read when a connection is made and handed on. Nothing keeps it but
`masking`, which takes it out of whatever a log, an error or a UI would show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.masking import remember_secret

_ONE_REFERENCE = "expected {env: NAME} or {file: PATH}"
_PORTS = range(1, 65536)


class Secret(BaseModel):
    """Where a secret text is: in the environment variable `env`, or in the file `file` (a relative one starts at the project's folder)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    env: str | None = None
    file: str | None = None

    _is_confidential: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{{env: {self.env}}}" if self.env is not None else f"{{file: {self.file}}}"

    def resolve(self, project_root: Path, *, what: str) -> str:
        """Return the secret, read now, without line ends behind it: editors and shells add them, and no secret ends in one.

        From here on it is masked wherever this process would show it. Raises PermanentStorageError, which names `what` (`the password
        of storage partner`) and where it was looked for.
        """
        value = (self._from_environment(what) if self.env is not None else self._from_file(project_root, what)).rstrip("\r\n")
        if self._is_confidential:
            remember_secret(value)
        return value

    def _from_environment(self, what: str) -> str:
        value = os.environ.get(self.env or "", "")
        if not value.rstrip("\r\n"):
            raise PermanentStorageError(
                f"could not find {what}: the environment variable {self.env} is not set, or empty; set it where the sync "
                "runs, or in the file .env in the project's folder"
            )
        return value

    def _from_file(self, project_root: Path, what: str) -> str:
        local_path = project_root / Path(self.file or "").expanduser()
        try:
            value = local_path.read_text(encoding="utf-8")
        except OSError as error:
            raise PermanentStorageError(f"could not find {what}: the file {local_path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            # The decoding error holds the file's bytes: it must not be chained to what a user sees.
            raise PermanentStorageError(f"could not read {what}: the file {local_path} is not text in UTF-8") from None
        if not value.strip():
            raise PermanentStorageError(f"could not find {what}: the file {local_path} is empty")
        return value


class SettingReference(Secret):
    """A setting that is kept outside of the definitions and yet no secret, as a host or a user: messages may name it."""

    _is_confidential: ClassVar[bool] = False


def _read_secret(value: Any) -> Secret:
    # The value stays out of the message: it may be the secret itself.
    if isinstance(value, Secret):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("secret", f"{_ONE_REFERENCE}, because secrets are never written in YAML")
    return read_reference(value)


def _read_setting(value: Any) -> str | Secret:
    if isinstance(value, str | Secret):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("secret", f"expected text, or {_ONE_REFERENCE.removeprefix('expected ')}")
    return read_reference(value, SettingReference)


def _read_port(value: Any) -> int | Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping):
        return read_reference(value, SettingReference)
    if isinstance(value, bool) or not isinstance(value, int) or value not in _PORTS:
        raise PydanticCustomError("secret", f"expected a port from 1 to 65535, or {_ONE_REFERENCE.removeprefix('expected ')}")
    return value


def is_reference(value: Mapping[Any, Any]) -> bool:
    """Tell whether a mapping among other values is meant as `{env: NAME}` or `{file: PATH}`."""
    return set(value) in ({"env"}, {"file"})


def read_reference(value: Mapping[Any, Any], kind: type[Secret] = Secret) -> Secret:
    """Return the reference that the mapping is; raises the error of pydantic that says what one looks like."""
    places = [place for place in ("env", "file") if isinstance(value.get(place), str) and value[place]]
    if len(value) != 1 or len(places) != 1:
        raise PydanticCustomError("secret", f"{_ONE_REFERENCE}, one of the two, with a name")
    return kind(**{places[0]: value[places[0]]})


def _plain_host(value: str | Secret) -> str | Secret:
    """Refuse the other parts of a URL: they have fields of their own. What is elsewhere is seen when it is used."""
    if isinstance(value, Secret):
        return value
    scheme, is_url, rest = value.rpartition("://")
    if is_url:
        raise ValueError(f"write the host's name alone, without {scheme}://")
    if "@" in rest:
        raise ValueError("write the host's name alone; who logs in stands in 'username'")
    if "/" in rest:
        raise ValueError("write the host's name alone, without a path; an activation's files go to its 'folder'")
    if re.fullmatch(r"[^:]*:\d+", rest):
        raise ValueError("write the host's name alone; its port stands in 'port'")
    return value


SecretField = Annotated[Secret, BeforeValidator(_read_secret, json_schema_input_type=Secret)]
"""A field that only takes `{env: NAME}` or `{file: PATH}`."""

Setting = Annotated[str | Secret, BeforeValidator(_read_setting, json_schema_input_type=str | Secret)]
"""A connection field that takes a plain text, `{env: NAME}` or `{file: PATH}`."""

Host = Annotated[Setting, AfterValidator(_plain_host)]
"""The name or address of a host, and nothing else of a URL; or where it is."""

Port = Annotated[int | Secret, BeforeValidator(_read_port, json_schema_input_type=int | Secret)]
"""A port number, or `{env: NAME}` or `{file: PATH}` that holds one."""


def remember_secrets(definitions: Iterable[BaseModel], project_root: Path) -> None:
    """Have every secret that these name, and that can be read now, masked from here on: an error may quote one before it is used.

    One that is missing is nobody's business yet: what needs it will say so.
    """
    for definition in definitions:
        for secret in _secrets_in(definition):
            if secret.env is not None or (project_root / Path(secret.file or "").expanduser()).is_file():
                with suppress(PermanentStorageError):
                    secret.resolve(project_root, what="a secret")


def _secrets_in(value: object) -> Iterator[Secret]:
    """Yield all references, however deep they stand in a definition."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel | Mapping | list | tuple):
        inner = vars(value).values() if isinstance(value, BaseModel) else value.values() if isinstance(value, Mapping) else value
        for each in inner:
            yield from _secrets_in(each)


def resolve_setting(setting: str | Secret, project_root: Path, *, what: str) -> str:
    """Return the text of a connection field, wherever it is; raises as `Secret.resolve` does."""
    return setting if isinstance(setting, str) else setting.resolve(project_root, what=what)


def resolve_port(port: int | Secret, project_root: Path, *, what: str) -> int:
    """Return the port number, wherever it is; raises PermanentStorageError as `Secret.resolve` does, and when it is no port."""
    if isinstance(port, int):
        return port
    text = port.resolve(project_root, what=what).strip()
    if not (text.isascii() and text.isdigit() and int(text) in _PORTS):
        raise PermanentStorageError(f"could not use {what}: {port} holds no port number from 1 to 65535; correct it where the sync runs")
    return int(text)
