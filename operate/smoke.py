"""The smoke test of a deployment: an event of each stream goes in at Pub/Sub, its row is awaited in BigQuery.

The events are samples of each stream's current topic, packed and published as the bridge does. No real record
can have their position: the partition is Kafka's largest number, which no topic has, and the offset is the
time in nanoseconds, so no two runs share one either. The rows stay in the tables; their env is `smoke`, and
readers filter on env. Kafka and the bridge are not part of this test: the bridge's lag tells of them.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Protocol

import grpc
import msgspec
from google.api_core.exceptions import Forbidden, GoogleAPICallError, GoogleAPIError, NotFound
from google.api_core.gapic_v1 import routing_header
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery import retry as bigquery_retry
from google.cloud.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import pubsub
from requests import RequestException

import envelope
from decoder.catalog import Catalog, load_catalog
from decoder.encode import framing_problem
from decoder.samples import sample_of
from decoder.streams import DEAD_LETTERS, UNIQUE, CatalogError
from envelope import Message, Record

ENV = "smoke"
PARTITION = 2**31 - 1
LOOK_EVERY_S = 2.0
REQUEST_S = 30.0
# BigQuery's client would go on for ten minutes, in silence, where no server is.
RETRY_S = 10.0


class SmokeError(RuntimeError):
    """The test could not be made: the text, one line, names what is missing and what to do."""


class Probe(msgspec.Struct, frozen=True):
    """An event on its way: the stream it is of, the table it is to reach, and its record."""

    stream: str
    table: str
    event_type: str
    record: Record


class Summary(msgspec.Struct, frozen=True):
    """The last line: how many streams, how many arrived, those that did not by name, and seconds in all."""

    streams: int
    found: int
    missing: list[str]
    seconds: float


class Warehouse(Protocol):
    """Where rows arrive; each method raises SmokeError where it cannot be asked."""

    def arrived(self, probes: Sequence[Probe]) -> Collection[str]:
        """Return the streams whose event is a row."""

    def dead_letters(self, probes: Sequence[Probe]) -> Mapping[str, str]:
        """Return why an event is a dead letter, by stream, of those that are one."""


def run(project: str, dataset: str, topic: str, timeout_s: float) -> int:
    """Test the deployment and print what became of each event; 0 when all are rows, 1 when one is not.

    Raises:
        SmokeError: the test could not be made.
    """
    try:
        catalog = load_catalog()
    except CatalogError as error:
        raise SmokeError(_one_line(error)) from error
    warehouse = BigQuery(project, dataset)
    probes, untested = make_probes(catalog, time.time_ns())
    for stream, why in untested.items():
        print(f"{stream:<18}not tested: {why}", flush=True)
    if probes:
        # Asked before anything is published, so that a wrong name leaves nothing behind.
        warehouse.arrived(probes)
        warehouse.dead_letters(probes)
        publish(topic, [envelope.pack(probe.record, ENV) for probe in probes])
    summary = await_rows(probes, warehouse, timeout_s)
    print(msgspec.json.encode(summary).decode(), flush=True)
    return 1 if summary.missing else 0


def make_probes(catalog: Catalog, now_ns: int) -> tuple[list[Probe], Mapping[str, str]]:
    """Return an event for each stream, and by stream why there is none; `now_ns` is ns since the epoch.

    It is from the stream's current topic, or the newest one if none is current. The clock is also the seed,
    so that ids never repeat.

    Raises:
        SmokeError: a sample of a type cannot be made; `python -m decoder check` reports the same.
    """
    now, rng = datetime.fromtimestamp(now_ns / 1e9, UTC), Random(now_ns)  # noqa: S311 - not a secret
    probes, untested = [], {}
    for stream in dict.fromkeys(catalog.stream_of_topic.values()):
        topics = [catalog.topics[name] for name, of in catalog.stream_of_topic.items() if of == stream]
        topic = max(topics, key=lambda each: (each.current, each.version)).name
        types = {each: framing_problem(each) for each in catalog.types.values() if each.topic.name == topic}
        possible = [each for each, problem in types.items() if problem is None]
        if not possible:
            untested[stream] = str(next(iter(types.values())))
            continue
        event_type = rng.choice(possible)
        try:
            sample = sample_of(event_type, rng, lambda: now)
        except CatalogError as error:
            raise SmokeError(_one_line(error)) from error
        record = Record(
            topic, PARTITION, now_ns, now_ns // 1_000_000, sample.key, sample.headers, sample.value
        )
        probes.append(Probe(stream, event_type.table, event_type.name, record))
    return probes, untested


def await_rows(
    probes: Sequence[Probe],
    warehouse: Warehouse,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Summary:
    """Look until every event is a row or `timeout_s` seconds are over, and print a line for each.

    Raises:
        SmokeError: the warehouse could not be asked.
    """
    started_at = clock()
    missing = list(probes)
    while True:
        arrived = warehouse.arrived(missing)
        seconds = clock() - started_at
        for probe in missing:
            if probe.stream in arrived:
                _print_line(probe, f"{seconds:.1f} s")
        missing = [probe for probe in missing if probe.stream not in arrived]
        if not missing or seconds >= timeout_s:
            break
        sleep(min(LOOK_EVERY_S, timeout_s - seconds))
    if missing:
        reasons = warehouse.dead_letters(missing)
        for probe in missing:
            reason = reasons.get(probe.stream)
            found = f"a dead letter, {reason}" if reason else "no dead letter either: see the function's log"
            _print_line(probe, f"no row after {seconds:.0f} s; {found}")
    names = [probe.stream for probe in missing]
    return Summary(len(probes), len(probes) - len(names), names, round(clock() - started_at, 1))


def publish(topic: str, messages: Iterable[Message]) -> None:
    """Publish the messages in one request, through the client's stub as the bridge does.

    Raises:
        SmokeError: no credentials, no such topic, no permission, or no answer.
    """
    request = pubsub.PublishRequest(
        topic=topic,
        messages=[pubsub.PubsubMessage(data=each.data, attributes=each.attributes) for each in messages],
    )
    metadata = (routing_header.to_grpc_metadata((("topic", topic),)),)  # type: ignore[no-untyped-call] # ships no types
    try:
        with PublisherClient() as client:
            client.transport.publish(request, timeout=REQUEST_S, metadata=metadata)
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    except grpc.RpcError as error:
        raise SmokeError(_refusal(topic, error.code(), error.details() or "")) from error


def _refusal(topic: str, code: grpc.StatusCode, details: str) -> str:
    """Return what is wrong with publishing to the topic, and what to do."""
    match code:
        case grpc.StatusCode.NOT_FOUND:
            return f"topic {topic} is not there: check --topic, or apply Terraform first"
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return f"no permission to publish to {topic}: roles/pubsub.publisher is needed on it"
        case _:
            return f"Pub/Sub did not take the events for {topic}: {code.name}: {_one_line(details)}"


class BigQuery:
    """The views of a dataset: BIGQUERY_EMULATOR_HOST's, or the cloud's with the credentials found there."""

    def __init__(self, project: str, dataset: str) -> None:
        # The client reads the variable for the address only; an emulator has no use for credentials.
        is_emulator = bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))
        credentials = AnonymousCredentials() if is_emulator else None  # type: ignore[no-untyped-call] # google-auth types only a part
        self._dataset = self.name = f"{project}.{dataset}"
        try:
            self._client = bigquery.Client(project=project, credentials=credentials)
        except GoogleAuthError as error:
            raise no_credentials(error) from error

    def arrived(self, probes: Sequence[Probe]) -> Collection[str]:
        """Return the streams whose event is a row, in one query that reads one partition of each table."""
        sql = " UNION ALL ".join(
            f"SELECT kafka_topic FROM `{self._dataset}.{probe.table}{UNIQUE}` "  # noqa: S608 - checked names
            "WHERE kafka_date = @date AND env = @env "
            "AND kafka_partition = @partition AND kafka_offset = @offset"
            for probe in probes
        )
        topics = {row["kafka_topic"] for row in self._ask(sql, probes[0].record)}
        return {probe.stream for probe in probes if probe.record.topic in topics}

    def dead_letters(self, probes: Sequence[Probe]) -> Mapping[str, str]:
        """Return reason and message of those that are dead letters, by stream."""
        sql = (
            f"SELECT kafka_topic, reason, message FROM `{self._dataset}.{DEAD_LETTERS}{UNIQUE}` "  # noqa: S608 - as above
            "WHERE env = @env AND kafka_partition = @partition AND kafka_offset = @offset"
        )
        rows = self._ask(sql, probes[0].record)
        reasons = {row["kafka_topic"]: _one_line(f"{row['reason']}: {row['message']}") for row in rows}
        return {each.stream: reasons[each.record.topic] for each in probes if each.record.topic in reasons}

    def _ask(self, sql: str, record: Record) -> list[Mapping[str, object]]:
        """Return the rows of an answer; all probes share the record's date, partition and offset."""
        date = datetime.fromtimestamp((record.timestamp or 0) / 1_000, UTC).date()
        parameters = [
            bigquery.ScalarQueryParameter("date", "DATE", date),
            bigquery.ScalarQueryParameter("env", "STRING", ENV),
            bigquery.ScalarQueryParameter("partition", "INT64", record.partition),
            bigquery.ScalarQueryParameter("offset", "INT64", record.offset),
        ]
        # The same question is asked again and again: the answer before is no answer.
        return self.ask(sql, parameters)

    def ask(
        self, sql: str, parameters: Sequence[bigquery.ScalarQueryParameter]
    ) -> list[Mapping[str, object]]:
        """Return the rows of an answer.

        Raises:
            SmokeError: BigQuery could not be asked.
        """
        settings = bigquery.QueryJobConfig(query_parameters=parameters, use_query_cache=False)
        retry = bigquery_retry.DEFAULT_RETRY.with_timeout(RETRY_S)
        try:
            # Not query_and_wait, of which bqemulator's errors come back as no rows.
            job = self._client.query(sql, settings, retry=retry, job_retry=None, timeout=REQUEST_S)
            return list(job.result(retry=retry, job_retry=None, timeout=REQUEST_S))
        except GoogleAuthError as error:
            raise no_credentials(error) from error
        except NotFound as error:
            text = f"{_said(error)}: check --project and --dataset, or apply Terraform first"
            raise SmokeError(text) from error
        except Forbidden as error:
            raise SmokeError(
                f"no permission to query {self._dataset}, or it is not there: check --project and --dataset, "
                "roles/bigquery.dataViewer on the dataset and roles/bigquery.jobUser on the project: "
                f"{_said(error)}"
            ) from error
        except GoogleAPICallError as error:
            raise SmokeError(f"BigQuery: {_said(error)}") from error
        except (GoogleAPIError, RequestException, TimeoutError) as error:
            raise SmokeError(f"no answer from BigQuery: {_one_line(error)}") from error


def _said(error: GoogleAPICallError) -> str:
    """Return what BigQuery said, without the job and the repetition that the client adds to it."""
    return _one_line(error.message).partition("; reason: ")[0]


def no_credentials(error: GoogleAuthError) -> SmokeError:
    """Return what to do where there are none."""
    return SmokeError(
        f"no credentials: run `gcloud auth application-default login`, or set "
        f"GOOGLE_APPLICATION_CREDENTIALS: {_one_line(error)}"
    )


def _print_line(probe: Probe, became: str) -> None:
    print(f"{probe.stream:<18}{probe.event_type:<26}{became}", flush=True)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
