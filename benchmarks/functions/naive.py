"""What most people write: a CloudEvent function that decodes and inserts one row, with the client library."""

import base64
import io
import json
import os
import time
from pathlib import Path

import fastavro
import functions_framework
from cloudevents.http import CloudEvent
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

TOPIC = Path(__file__).parents[2] / "decoder" / "schemas" / "delivery_events_v6_topic"
SCHEMA = fastavro.parse_schema(json.loads((TOPIC / "DeliveryRatedV6.avsc").read_text()))
client = bigquery.Client("p", AnonymousCredentials())  # type: ignore[no-untyped-call] # google-auth types only a part
table = f"p.{os.environ['BIGQUERY_DATASET']}.delivery_changed"


@functions_framework.cloud_event
def handle(event: CloudEvent) -> None:
    """Insert the event in the message."""
    message = event.data["message"]
    attributes = message["attributes"]
    record = fastavro.schemaless_reader(io.BytesIO(base64.b64decode(message["data"])), SCHEMA, None)
    assert isinstance(record, dict)  # noqa: S101 - the schema is a record
    row = {
        "timestamp": record["timestamp"].isoformat(),
        "event_id": str(record["id"]),
        "event_type": attributes["item_type_name"].rpartition(".")[2],
        "event_json": json.dumps(record, default=str),
        "topic_version": 6,
        "is_current_version": True,
        "stream_timestamp": str(time.time_ns()),
        "kafka_topic": attributes["kafka.topic"],
        "kafka_partition": int(attributes["kafka.partition"]),
        "kafka_offset": attributes["kafka.offset"],
        "kafka_timestamp": int(attributes["kafka.timestamp"]) / 1_000,
        "kafka_headers": [
            {"name": name, "value": base64.b64encode(value.encode()).decode()}
            for name, value in attributes.items()
            if not name.startswith("kafka.")
        ],
        "env": attributes["kafka.env"],
    }
    errors = client.insert_rows_json(table, [row])
    if errors:
        raise RuntimeError(str(errors))
