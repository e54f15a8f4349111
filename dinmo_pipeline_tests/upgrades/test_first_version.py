"""A project that an earlier version kept goes on: what that one delivered is known, and only what changed since then is sent.

`first_version.tar.gz` holds what commit f652046 wrote: `project/` with state, warehouse and deliveries of two days, and `bucket/` with the
state of the same syncs in an object store.
"""

from __future__ import annotations

import tarfile
import uuid
from pathlib import Path

import pytest

from dinmo_pipeline_tests.servers import s3
from dinmo_pipeline_tests.servers.cloud_fixtures import s3_server

from ..people import Ran, run_command

__all__ = ["s3_server"]

ARCHIVE = Path(__file__).with_name("first_version.tar.gz")
# Bruno had 2.75 then, Chloe is gone now, Eve is new.
TODAY = "id,name,amount\n1,Ana,1.50\n2,Bruno,9.99\n4,Dana,4.50\n5,Eve,5.50\n"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The archive's folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "project" / "people.csv").write_text(TODAY)
    return tmp_path


def dinmo(root: Path, *arguments: str, **variables: str) -> Ran:
    return run_command("dinmo", *arguments, cwd=root, env=variables)


def sent(root: Path) -> list[str]:
    """What the files of the third day hold, whose names begin with its instant in milliseconds."""
    return sorted(path.read_text() for path in (root / "out").rglob("1735887600000_*"))


def require_what_changed(root: Path, **variables: str) -> None:
    done = dinmo(root, "sync", "--all", "--at", "2025-01-03T07:00:00Z", **variables)
    assert (done.code, done.err) == (0, ""), done.err
    assert sent(root) == [
        "id,name,amount\n2,Bruno,9.99\n",
        "id,name,amount\n3,Chloe,3.5\n",
        "id,name,amount\n5,Eve,5.5\n",
        '{"id":5,"name":"Eve","amount":5.5}\n',
    ]
    told = dinmo(root, "history", "changes", **variables)
    assert "\tdelivered\tdifference\t2\t4\t1\t1\t1\t" in told.out


def test_state_in_the_home_goes_on(kept: Path) -> None:
    root = kept / "project"
    require_what_changed(root)
    explained = dinmo(root, "explain", "changes", "2")
    assert "2.75" in explained.out


def test_state_in_an_object_store_goes_on(kept: Path, s3_server: s3.S3Server) -> None:
    prefix, root, owner = uuid.uuid4().hex[:8], kept / "project", s3_server.keys["owner"]
    for path in (kept / "bucket").rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(kept / 'bucket')}"
            s3_server.client().put_object(Bucket=s3.BUCKET, Key=key, Body=path.read_bytes())
    require_what_changed(
        root,
        DINMO_STATE_URL=f"s3://{s3.BUCKET}/{prefix}/state",
        AWS_ENDPOINT_URL=s3_server.url(),
        AWS_DEFAULT_REGION=s3.REGION,
        AWS_ACCESS_KEY_ID=owner.access_key_id,
        AWS_SECRET_ACCESS_KEY=owner.secret_access_key,
    )


def test_feed_goes_on_where_the_warehouse_stands(kept: Path) -> None:
    root = kept / "project"
    raw = root / "drop" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "contacts_shop_20250102.csv").write_text("id,name,age\n1,Ana,32\n3,Cleo,40\n")
    done = dinmo(root, "import")
    assert "2 records loaded" in done.out, done
    status = dinmo(root, "status")
    assert "contacts_shop\tok" in status.out, status.out
