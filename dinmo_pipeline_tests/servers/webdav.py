"""Apache's WebDAV: a folder that one account may write to."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline_tests.servers.running import HOST, IS_ROOT, Login, Program, free_port, need_program, running, server_folder

_MODULES = Path("/usr/lib/apache2/modules")
_LOADED = ("mpm_event", "authn_core", "authn_file", "auth_basic", "authz_core", "authz_user", "dav", "dav_fs", "dav_lock", "alias")
_OWNER = "www-data"
_CONFIGURATION = """\
ServerRoot {folder}
ServerName localhost
Listen {host}:{port}
PidFile {folder}/pid
Mutex file:{folder}
ErrorLog {folder}/errors
{modules}
{owner}
DocumentRoot {folder}/www
DavLockDB {folder}/locks/db
<Directory {folder}/www/dav>
  Dav On
  AuthType Basic
  AuthName test
  AuthUserFile {folder}/users
  Require valid-user
</Directory>
Redirect temp /elsewhere {elsewhere}
"""


@dataclass(frozen=True)
class WebDav:
    """The running server: all below its `/dav` is on `disk`. What is asked of `/elsewhere` is sent on to another server."""

    host: str
    port: int
    login: Login
    disk: Path
    program: Program

    def base_url(self, *, host: str = HOST, folder: str = "dav") -> str:
        """The server's address."""
        return f"http://{host}:{self.port}/{folder}"


@contextmanager
def webdav(*, elsewhere: str = "http://127.0.0.3/") -> Iterator[WebDav]:
    """The server; its files lie on a disk of ours."""
    apache = need_program("apache2", package="apache2")
    with server_folder() as folder:
        disk, port = folder / "www" / "dav", free_port()
        for path in (disk, folder / "locks"):
            path.mkdir(parents=True)
            if IS_ROOT:
                shutil.chown(path, _OWNER, _OWNER)
        login = Login(username="shop", home=disk, start="/", password=secrets.token_urlsafe(24))
        digest = base64.b64encode(hashlib.sha1(login.password.encode(), usedforsecurity=False).digest()).decode()
        (folder / "users").write_text(f"{login.username}:{{SHA}}{digest}\n")
        configuration = _CONFIGURATION.format(
            folder=folder,
            host=HOST,
            port=port,
            modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED),
            owner=f"User {_OWNER}\nGroup {_OWNER}" if IS_ROOT else "",
            elsewhere=elsewhere,
        )
        (folder / "apache.conf").write_text(configuration)
        with running([apache, "-DFOREGROUND", "-f", str(folder / "apache.conf")], port=port, log=folder / "output") as program:
            yield WebDav(HOST, port, login, disk, program)
