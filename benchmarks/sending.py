"""A full export to OpenSSH beside DuckDB's `COPY` and `sftp put`, and over a slow wire: `python -m benchmarks.sending [--rows N]`.

Over the wire, beside `sftp put` of the same rows: in one file; in ten parts, which leave while the next one is rendered; and in ten that
wait until all are, since a guard looks at their bytes. The same three ways to each object store.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Line, cost_of
from benchmarks.peers import Work
from benchmarks.site import Site
from benchmarks.yardsticks import sftp_put
from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay

_REACH = 1.3
# Before each block of 64 kB: 30 MB a second at most.
_PAUSE_S = 0.002
_PARTS = 10
_EXPORT = {"model": "customers", "format": "csv", "run_type": "full_only", "sync_mode": "snapshot", "mapping": "*"}


def sending_lines(folder: Path, rows: int) -> Iterator[Line]:
    """A full export of so many customers to OpenSSH on this machine; what is wanted is meant for the slower one of the yardsticks."""
    with openssh() as server:
        work = Work(folder, server)
        work.make(rows)
        site = _refreshed(work)
        ours, name = partial(site.deliver, "customers"), "full export to OpenSSH, beside"
        yield Line(f"{name} COPY", "COPY to csv", _REACH, ours, partial(site.copy, "csv"))
        yield Line(f"{name} the put", "sftp put", _REACH, ours, partial(sftp_put, server, site.copied("csv"), flush=False))


def main() -> None:
    """Send over the slow wire, and print the seconds of each way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="customers, 10 columns each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, openssh() as server, _stores(Path(folder)) as stores:
        work = Work(Path(folder), server)
        work.make(arguments.rows)
        places = [_openssh(server), *stores]
        ways = _define(work, places, arguments.rows)
        site = _refreshed(work)
        far, ports = replace(server, host=RELAY_HOST), [place.port for place in places]
        for name, seconds in _over_slow_wire(site, far, ports, ways).items():
            print(f"over a slow wire, {name}: {seconds:.1f} s")


@dataclass(frozen=True)
class _Place:
    """A storage at the far end of the slow wire: its name, the type and the attributes of its definition, and its server's port."""

    name: str
    type: str
    port: int
    attributes: Mapping[str, Any]


def _openssh(server: OpenSsh) -> _Place:
    login = {"username": server.login("plain").username, "private_key": {"file": str(server.private_key)}, "host_key": server.host_key}
    return _Place("OpenSSH", "SftpServer", server.port, {"host": RELAY_HOST, "port": server.port, **login})


@contextmanager
def _stores(root: Path) -> Iterator[list[_Place]]:
    """The object stores, each with its secret in a file of `root`."""

    def secret(name: str, text: str) -> dict[str, str]:
        (root / name).write_text(text, encoding="utf-8")
        return {"file": name}

    with azurite.azurite() as azure, gcs.gcs() as google, gcs.token_server() as tokens, s3.s3() as amazon:
        owner = amazon.keys["owner"]
        account = {"account_url": azure.url(RELAY_HOST), "account_key": secret("azure", azure.key)}
        service = {"endpoint_url": google.url(RELAY_HOST), "service_account_key": secret("gcs", tokens.key_text)}
        access = {"access_key_id": owner.access_key_id, "secret_access_key": secret("s3", owner.secret_access_key)}
        yield [
            _Place("Azure", "AzureContainer", azure.port, {"container": azurite.CONTAINER, **account}),
            _Place("GCS", "GcsBucket", google.port, {"bucket": gcs.BUCKET, **service}),
            _Place(
                "S3", "S3Bucket", amazon.port, {"bucket": s3.BUCKET, "region": s3.REGION, "endpoint_url": amazon.url(RELAY_HOST), **access}
            ),
        ]


def _define(work: Work, places: Sequence[_Place], rows: int) -> dict[str, str]:
    """Add the storages and how each is delivered to: what that is called, by the activation's name."""
    parts = {"max_rows": -(-rows // _PARTS)}
    options: dict[str, dict[str, Any]] = {
        "one file": {},
        f"{_PARTS} parts": parts,
        f"{_PARTS} parts that wait for a guard": {**parts, "fail_if": {"bytes": "> 1 TB"}},
    }
    ways, documents = dict[str, str](), list[dict[str, Any]]()
    for place in places:
        documents.append({"type": f"dinmo_pipeline.{place.type}", "attributes": {"name": place.name.lower(), **place.attributes}})
        for what, more in options.items():
            name = f"way_{len(ways)}"
            ways[name] = f"{place.name}, {what}"
            attributes = {**_EXPORT, "name": name, "destination": place.name.lower(), "file_name": name, **more}
            documents.append({"type": "dinmo_pipeline.Activation", "attributes": attributes})
    with (work.root / "defs" / "defs.yaml").open("a", encoding="utf-8") as definitions:
        definitions.writelines(f"---\n{json.dumps(document)}\n" for document in documents)
    return ways


def _over_slow_wire(site: Site, far: OpenSsh, ports: Sequence[int], ways: Mapping[str, str]) -> dict[str, float]:
    """Seconds by the clock, each once: the wire decides, and what else the machine does shows little."""
    works = {"OpenSSH, `sftp put`": partial(sftp_put, far, site.root / "customers.csv", flush=True)}
    works |= {what: partial(site.deliver, name) for name, what in ways.items()}
    with Relay().listening(ports) as relay:
        relay.slow_down(_PAUSE_S)
        return {what: cost_of(work).wall for what, work in works.items()}


def _refreshed(work: Work) -> Site:
    site = Site(work.root, "customers")
    site.refresh()
    return site


if __name__ == "__main__":
    main()
