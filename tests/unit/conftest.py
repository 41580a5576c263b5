"""What several unit tests start from: the repository's catalogue and one event with its bytes."""

import io
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import fastavro
import pytest
from hypothesis import settings

import logs
from decoder.catalog import Catalog, load_catalog
from envelope import Record
from tests.unit.decoder.making import STREAMS, Load

# A busy machine is no reason for a property to fail.
settings.register_profile("unit", settings(), deadline=None)
settings.load_profile("unit")

RATED_TOPIC = "delivery_events_v6_topic"
RATED_TYPE = "delivery.events.v6.DeliveryRatedV6"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Give what the project's own handler writes, as it would to standard output."""
    logs.set_up()
    monkeypatch.setattr(logs.log, "disabled", False)
    handler = next(h for h in logs.log.handlers if type(h) is logging.StreamHandler)
    before = handler.setStream(stream := io.StringIO())
    yield stream
    handler.setStream(before)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Give the frozen catalog, tests/catalogue."""
    return load_catalog()


@pytest.fixture(scope="session")
def rated_event() -> Mapping[str, object]:
    """Give an event of the type DeliveryRatedV6, as fastavro takes and returns it."""
    return {
        "id": UUID("6d6d2c1e-5d1c-4b0a-9d55-0d7a4f0c2b11"),
        "timestamp": datetime(2024, 2, 29, 23, 59, 59, 987_000, tzinfo=UTC),
        "delivery_id": UUID("00000000-0000-4000-8000-000000000001"),
        "stars": 5,
        "asked_by": "PUSH",
        "tags": ["ON_TIME", "FRIENDLY"],
        "comment": "très bien",
        "tip": Decimal("2.50"),
    }


@pytest.fixture(scope="session")
def rated_value(catalog: Catalog, rated_event: Mapping[str, object]) -> bytes:
    """Give the bytes of that event, schemaless."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, catalog.types[RATED_TOPIC, RATED_TYPE].schema, rated_event)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def rated(rated_value: bytes) -> Record:
    """Give the Kafka record of that event."""
    return Record(
        topic=RATED_TOPIC,
        partition=3,
        offset=2**53 + 1,
        timestamp=1_709_251_199_999,
        key=b"\x00\xffkey",
        headers=(("item_type_name", RATED_TYPE.encode()), ("trace", None), ("", b"\xfe"), ("trace", b"2")),
        value=rated_value,
    )


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Give a function that writes files and loads the catalogue of them."""

    def load(files: dict[str, object], streams: str = STREAMS) -> Catalog:
        (tmp_path / "streams.yaml").write_text(streams)
        for name, schema in files.items():
            path = tmp_path / "schemas" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
        return load_catalog(tmp_path / "streams.yaml", tmp_path / "schemas")

    return load
