"""dlt sends a table: `python dlt_peer.py DATABASE HOST PORT USER KEY FOLDER`, in an environment of its own that has dlt."""

import sys
from collections.abc import Iterator

import dlt  # type: ignore[import-not-found]
import duckdb
import pyarrow

_ROWS_A_BATCH = 100_000


@dlt.resource(name="customers")  # type: ignore[untyped-decorator]
def customers(database: str) -> Iterator[pyarrow.RecordBatch]:
    """The rows as Arrow has them, which dlt takes fastest."""
    with duckdb.connect(database, read_only=True) as connection:
        yield from connection.sql("FROM customers").to_arrow_reader(_ROWS_A_BATCH)


def main() -> None:
    """Write the table `customers` as CSV below FOLDER."""
    database, host, port, user, key, folder = sys.argv[1:]
    destination = dlt.destinations.filesystem(
        bucket_url=f"sftp://{host}:{port}{folder}",
        credentials={"sftp_port": int(port), "sftp_username": user, "sftp_key_filename": key, "sftp_look_for_keys": False},
    )
    pipeline = dlt.pipeline("peer", destination=destination, dataset_name="peer", pipelines_dir=f"{database}.dlt")
    pipeline.run(customers(database), loader_file_format="csv", write_disposition="replace")


if __name__ == "__main__":
    main()
