"""BigQuery on this machine: bqemulator, with the tables and views that Terraform makes in the cloud."""

import importlib.resources
import os
import shutil
import sys
from pathlib import Path
from string import Template

import duckdb
import msgspec
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from decoder.streams import DEAD_LETTERS, ROOT, UNIQUE, Stream
from local.processes import Process

TABLES = ROOT / "sink" / "tables"


class _Layout(msgspec.Struct, frozen=True):
    partition: str
    cluster: list[str]


def start(port: int, grpc_port: int, home: Path, log: Path) -> Process:
    """Start the emulator; `home` is where it finds DuckDB's extension instead of downloading it."""
    _install_extension(home)
    command = [
        *(sys.executable, "-m", "local.emulator", str(log.with_suffix(".spill").resolve())),
        *("start", "--ephemeral", "--log-level", "warning", "--no-admin"),
        *("--rest-port", str(port), "--grpc-port", str(grpc_port)),
    ]
    env = {
        "HOME": str(home),
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # they too would be downloaded
        "OTEL_SDK_DISABLED": "true",
    }
    return Process("bigquery", command, log, env=env, cwd=ROOT)


def connect(port: int, project: str) -> bigquery.Client:
    """Return a client of the emulator on the port."""
    return bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # google-auth types only a part
        client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
    )


def create_tables(client: bigquery.Client, dataset: str, streams: dict[str, Stream]) -> None:
    """Make the dataset, a table and a view for each stream and of the dead letters; keep existing ones."""
    client.create_dataset(dataset, exists_ok=True)
    for stream in streams.values():
        _create_table(client, dataset, stream.table, "event")
    _create_table(client, dataset, DEAD_LETTERS, "dead_letter")


def _create_table(client: bigquery.Client, dataset: str, name: str, kind: str) -> None:
    layout = msgspec.json.decode((TABLES / "layout.json").read_bytes(), type=dict[str, _Layout])[kind]
    full_name = f"{client.project}.{dataset}.{name}"
    table = bigquery.Table(full_name, schema=client.schema_from_json(TABLES / f"{kind}.json"))
    table.time_partitioning = bigquery.TimePartitioning(field=layout.partition)
    table.clustering_fields = layout.cluster
    client.create_table(table, exists_ok=True)
    view = bigquery.Table(f"{full_name}{UNIQUE}")
    view.view_query = Template((TABLES / f"{kind}_view.sql").read_text()).substitute(table=full_name)
    client.create_table(view, exists_ok=True)


def _install_extension(home: Path) -> None:
    platform = duckdb.sql("PRAGMA platform").fetchone()
    with importlib.resources.as_file(importlib.resources.files("duckdb_extension_spatial")) as package:
        (extension,) = package.glob("extensions/*/spatial.duckdb_extension")
        folder = (
            home / ".duckdb" / "extensions" / extension.parent.name / str(platform[0] if platform else "")
        )
        target = folder / extension.name
        if not target.exists() or target.stat().st_size != extension.stat().st_size:
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{os.getpid()}")
            shutil.copyfile(extension, partial)
            partial.replace(target)  # whole or not at all, should two runs start at once
