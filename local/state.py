"""Where the parts of a running stack listen, as other commands need it."""

import msgspec
import requests
from google.cloud import bigquery as bq

from local import bigquery

PROJECT = "local"
DATASET = "events"
ENV = "local"


class State(msgspec.Struct, frozen=True):
    """Addresses and ports of a running stack, the folder of its logs, and that of its catalog.

    `catalog` is what CATALOG names, None for streams.yaml and decoder/schemas.
    """

    kafka: str
    pubsub: str
    bigquery_port: int
    function_port: int
    bridge_port: int
    logs: str
    catalog: str | None = None

    @property
    def bigquery(self) -> bq.Client:
        """A client of the BigQuery emulator."""
        return bigquery.connect(self.bigquery_port, PROJECT)

    def bridge_counts(self) -> dict[str, int]:
        """Return the counts that the bridge reports since its start; empty while it does not answer."""
        try:
            counts = requests.get(f"http://127.0.0.1:{self.bridge_port}/healthz", timeout=2).json()
        except requests.RequestException:
            return {}
        return {name: counts[name] for name in ("forwarded", "dead_lettered", "retries")}
