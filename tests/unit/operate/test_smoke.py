"""The smoke test's parts, against a Pub/Sub and a BigQuery that are made up."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Self

import grpc
import pytest
from google.api_core.exceptions import BadRequest, Forbidden, NotFound, RetryError
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.cloud import bigquery

import envelope
from decoder.catalog import Catalog
from decoder.rows import event_row
from decoder.streams import load_streams
from operate import smoke
from operate.__main__ import main
from operate.smoke import Probe, SmokeError
from tests.unit.decoder.making import STREAMS, Load, with_fields

# Two milliseconds before a new day, in UTC.
NOW_NS = 1_709_251_199_998_765_432
TOPIC = "projects/p/topics/events"
ARGUMENTS = ["smoke", "--project", "project", "--dataset", "events_prod", "--topic", TOPIC]


@dataclass
class FakeWarehouse:
    """Rows arrive at a time of their own, by stream; `now` is moved by who sleeps."""

    arrivals: Mapping[str, float]
    reasons: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0
    asked: list[list[str]] = field(default_factory=list)

    def arrived(self, probes: Sequence[Probe]) -> Collection[str]:
        """Return those whose time has come."""
        self.asked.append([probe.stream for probe in probes])
        return {p.stream for p in probes if self.arrivals.get(p.stream, 1e9) <= self.now}

    def dead_letters(self, probes: Sequence[Probe]) -> Mapping[str, str]:
        """Return what the test said."""
        return {p.stream: self.reasons[p.stream] for p in probes if p.stream in self.reasons}

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture(name="probes")
def make_probes(catalog: Catalog) -> list[Probe]:
    """Give an event of each stream."""
    probes, untested = smoke.make_probes(catalog, NOW_NS)
    assert untested == {}
    return probes


def await_rows(probes: list[Probe], warehouse: FakeWarehouse, timeout_s: float) -> smoke.Summary:
    """Wait by the warehouse's own clock."""
    return smoke.await_rows(probes, warehouse, timeout_s, warehouse.clock, warehouse.sleep)


def test_each_stream_has_an_event_of_its_current_topic_that_becomes_a_row(
    probes: list[Probe], catalog: Catalog
) -> None:
    """What is published unpacks to a record that the decoder makes a row of the stream's table of."""
    streams = load_streams()
    assert [probe.stream for probe in probes] == list(streams)
    for probe in probes:
        sent = envelope.unpack(envelope.pack(probe.record, smoke.ENV))
        (record,) = sent.records
        table, row = event_row(record, sent.env, catalog, NOW_NS)
        assert table == probe.table == streams[probe.stream].table
        assert row.is_current_version
        assert row.event_type == probe.event_type
        assert row.env == "smoke"


def test_positions_are_those_of_no_real_record(probes: list[Probe]) -> None:
    """The partition is Kafka's largest number, offset and timestamp are the clock."""
    for probe in probes:
        assert probe.record.partition == 2_147_483_647
        assert probe.record.offset == NOW_NS
        assert probe.record.timestamp == 1_709_251_199_998


def test_no_two_runs_send_the_same_events(probes: list[Probe], catalog: Catalog) -> None:
    """A nanosecond later all positions and all values are others."""
    later, _ = smoke.make_probes(catalog, NOW_NS + 1)
    for probe, other in zip(probes, later, strict=True):
        assert probe.record.offset != other.record.offset
        assert probe.record.value != other.record.value


def test_any_stream_has_an_event(load: Load) -> None:
    """A stream is known by its schemas alone; where no topic is current, the newest version's is taken."""
    topics = "{name: t1, version: 1, current: false}, {name: t2, version: 2, current: false}"
    files = {"t1/A.avsc": with_fields(), "t2/A.avsc": with_fields()}
    loaded = load(files, f"streams:\n  returned: {{table: returns, topics: [{topics}]}}\n")
    (probe,), untested = smoke.make_probes(loaded, NOW_NS)
    assert (probe.stream, probe.table, probe.event_type, probe.record.topic) == (
        "returned",
        "returns",
        "A",
        "t2",
    )
    assert untested == {}


def test_a_stream_that_the_registry_alone_knows_is_not_tested(load: Load) -> None:
    """Without a registry's id in its files nothing of it can be sent: it is named, and the rest is tested."""
    confluent = STREAMS.replace("current: true", "current: true, framing: confluent")
    streams = confluent + "  other: {table: o, topics: [{name: u, version: 1, current: true}]}\n"
    loaded = load({"t/A.avsc": with_fields(), "u/A.avsc": with_fields()}, streams)
    probes, untested = smoke.make_probes(loaded, NOW_NS)
    assert [probe.stream for probe in probes] == ["other"]
    assert list(untested) == ["s"]
    assert "schemas/t/A.avsc: values with the framing confluent begin with the schema" in untested["s"]


def test_an_event_over_the_limits_is_an_error_that_names_its_schema(load: Load) -> None:
    """What no sample can be made of ends the test before it starts, in one line."""
    loaded = load({"t/A.avsc": with_fields()}, STREAMS.replace("true", "true, limits: {bytes: 3}"))
    with pytest.raises(SmokeError, match=r"^schemas/t/A\.avsc: a sample .* the topic's limit is 3$"):
        smoke.make_probes(loaded, NOW_NS)


def test_a_line_a_stream_when_its_row_is_there(
    probes: list[Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line has stream, type and seconds; what was found is not asked for again."""
    names = [probe.stream for probe in probes]
    warehouse = FakeWarehouse(dict.fromkeys(names, 0.0) | {"ims_updates": 3.0})
    summary = await_rows(probes, warehouse, 60)
    assert summary == smoke.Summary(streams=5, found=5, missing=[], seconds=4.0)
    assert warehouse.asked == [names, ["ims_updates"], ["ims_updates"]]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [n for n in names if n != "ims_updates"] + ["ims_updates"]
    assert {tuple(line[2:]) for line in lines[:-1]} == {("0.0", "s")}
    assert lines[-1][2:] == ["4.0", "s"]
    assert {line[1] for line in lines} == {probe.event_type for probe in probes}


def test_a_row_that_comes_in_the_last_moment_is_found(probes: list[Probe]) -> None:
    """The last look is at the end of the timeout, not up to two seconds before it."""
    warehouse = FakeWarehouse({probe.stream: 4.9 for probe in probes})
    assert await_rows(probes, warehouse, 5).found == 5
    assert warehouse.now == 5


def test_what_does_not_arrive_is_named_with_its_dead_letter(
    probes: list[Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    """After the timeout each missing stream has a line: why it is a dead letter, or where to look next."""
    arrivals = {p.stream: 0.0 for p in probes if p.stream not in {"ims_updates", "physical_stock"}}
    warehouse = FakeWarehouse(arrivals, {"ims_updates": "unknown_type: no schema of topic …"})
    summary = await_rows(probes, warehouse, 7)
    assert summary == smoke.Summary(
        streams=5, found=3, missing=["ims_updates", "physical_stock"], seconds=7.0
    )
    updates, stock = capsys.readouterr().out.splitlines()[-2:]
    assert updates.startswith("ims_updates")
    assert updates.endswith("no row after 7 s; a dead letter, unknown_type: no schema of topic …")
    assert stock.startswith("physical_stock")
    assert stock.endswith("no row after 7 s; no dead letter either: see the function's log")


class RpcError(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code = code

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str:
        """Return two lines, as some errors have."""
        return "first line\nsecond line"


class FakePubsub:
    """A client of Pub/Sub, whose stub keeps the requests or fails; it is its own transport."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[object] = []
        self.transport = self
        self._error = error

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""

    def publish(self, request: object, timeout: float, metadata: object) -> None:
        """Take a request."""
        assert timeout
        assert metadata
        if self._error:
            raise self._error
        self.requests.append(request)


def test_publish_sends_the_messages_as_they_are(probes: list[Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    """One request has every message with its data and all of its attributes."""
    client = FakePubsub()
    monkeypatch.setattr(smoke, "PublisherClient", lambda: client)
    messages = [envelope.pack(probe.record, "smoke") for probe in probes]
    smoke.publish(TOPIC, messages)
    (request,) = client.requests
    assert request.topic == TOPIC  # type: ignore[attr-defined] # a protobuf message
    sent = [envelope.Message(m.data, dict(m.attributes)) for m in request.messages]  # type: ignore[attr-defined] # as above
    assert sent == messages


def rpc(code: grpc.StatusCode) -> Callable[[str], Exception]:
    """Return what makes the error of a status, whatever the text."""
    return lambda _: RpcError(code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (rpc(grpc.StatusCode.NOT_FOUND), f"topic {TOPIC} is not there: check --topic, or apply Terraform"),
        (rpc(grpc.StatusCode.PERMISSION_DENIED), f"publish to {TOPIC}: roles/pubsub.publisher is needed"),
        (rpc(grpc.StatusCode.UNAUTHENTICATED), f"publish to {TOPIC}: roles/pubsub.publisher is needed"),
        (rpc(grpc.StatusCode.UNAVAILABLE), f"for {TOPIC}: UNAVAILABLE: first line second line"),
        (DefaultCredentialsError, "no credentials: run `gcloud auth application-default login`"),
    ],
)
def test_an_error_of_pubsub_says_what_to_do_in_one_line(
    error: Callable[[str], Exception], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps the events from being published is named, with the topic."""
    client = FakePubsub(error("first line\nsecond line"))
    monkeypatch.setattr(smoke, "PublisherClient", lambda: client)
    with pytest.raises(SmokeError) as raised:
        smoke.publish(TOPIC, [])
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


class FakeBigQuery:
    """A client of BigQuery, which keeps the question and answers with rows or fails; it is its own job."""

    def __init__(self, answer: list[Mapping[str, object]] | Exception) -> None:
        self.sql = ""
        self.parameters: dict[str, object] = {}
        self._answer = answer

    def query(self, sql: str, settings: bigquery.QueryJobConfig, **_: object) -> "FakeBigQuery":
        """Take a question."""
        self.sql = sql
        self.parameters = {each.name: each.value for each in settings.query_parameters}
        return self

    def result(self, **_: object) -> list[Mapping[str, object]]:
        """Return the answer."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


Connect = Callable[[list[Mapping[str, object]] | Exception], tuple[smoke.BigQuery, FakeBigQuery]]


@pytest.fixture(name="connect")
def make_connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Give a dataset's views over a fake client."""

    def connect(
        answer: list[Mapping[str, object]] | Exception,
    ) -> tuple[smoke.BigQuery, FakeBigQuery]:
        client = FakeBigQuery(answer)
        monkeypatch.setattr(bigquery, "Client", lambda **_: client)
        return smoke.BigQuery("project", "events_prod"), client

    return connect


def test_the_question_is_for_one_position_in_one_partition_of_each_view(
    probes: list[Probe], connect: Connect
) -> None:
    """Every view is asked with the date that partitions its table; rows are told apart by their topic."""
    stock = next(probe for probe in probes if probe.stream == "physical_stock")
    views, client = connect([{"kafka_topic": stock.record.topic}])
    assert views.arrived(probes) == {"physical_stock"}
    for part, probe in zip(client.sql.split(" UNION ALL "), probes, strict=True):
        assert f"FROM `project.events_prod.{probe.table}_unique` WHERE kafka_date = @date AND" in part
        assert "env = @env AND kafka_partition = @partition AND kafka_offset = @offset" in part
    assert client.parameters == {
        "date": date(2024, 2, 29),
        "env": "smoke",
        "partition": 2**31 - 1,
        "offset": NOW_NS,
    }


def test_the_date_is_that_of_utc(connect: Connect, catalog: Catalog) -> None:
    """Two milliseconds later it is the next day."""
    probes, _ = smoke.make_probes(catalog, NOW_NS + 2_000_000)
    views, client = connect([])
    assert views.arrived(probes) == set()
    assert client.parameters["date"] == date(2024, 3, 1)
    assert datetime.fromtimestamp((NOW_NS + 2_000_000) // 10**9, UTC).date() == date(2024, 3, 1)


def test_a_dead_letter_is_found_by_position(probes: list[Probe], connect: Connect) -> None:
    """Reason and message come as one line, for the stream that the topic is of."""
    updates = next(probe for probe in probes if probe.stream == "ims_updates")
    row = {"kafka_topic": updates.record.topic, "reason": "undecodable", "message": "byte 3\nof 4"}
    views, client = connect([row])
    assert views.dead_letters(probes) == {"ims_updates": "undecodable: byte 3 of 4"}
    assert "FROM `project.events_prod.dead_letters_unique` WHERE env = @env AND" in client.sql


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFound, "Table p:d.t was not found: check --project and --dataset, or apply Terraform first"),
        (Forbidden, "no permission to query project.events_prod, or it is not there: check --project"),
        (BadRequest, "BigQuery: Table p:d.t was not found"),
        (lambda text: RetryError(text, ValueError()), "no answer from BigQuery: Table p:d.t"),  # type: ignore[no-untyped-call] # api-core types only a part
        (TimeoutError, "no answer from BigQuery: Table p:d.t"),
        (RefreshError, "no credentials: run `gcloud auth application-default login`"),
    ],
)
def test_an_error_of_bigquery_says_what_to_do_in_one_line(
    error: Callable[[str], Exception], expected: str, probes: list[Probe], connect: Connect
) -> None:
    """Whatever keeps the question from being answered is named, without the client's additions."""
    views, _ = connect(error("Table p:d.t\nwas not found; reason: notFound, message: again\n\nJob ID: 1"))
    for ask in (views.arrived, views.dead_letters):
        with pytest.raises(SmokeError) as raised:
            ask(probes)
        assert expected in str(raised.value)
        assert "\n" not in str(raised.value)


def test_nothing_is_published_where_bigquery_cannot_be_asked(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The views are asked first: one line on stderr, status 2, and Pub/Sub has nothing."""
    connect(NotFound("Not found: Dataset project:events_prod"))  # type: ignore[no-untyped-call] # as above
    client = FakePubsub()
    monkeypatch.setattr(smoke, "PublisherClient", lambda: client)
    assert main(ARGUMENTS) == 2
    assert client.requests == []
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("smoke: Not found: Dataset project:events_prod: check --project and --dataset")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"--project": None}, "the following arguments are required: --project"),
        ({"--project": ""}, "argument --project: is empty, give a project id"),
        ({"--project": "My Project"}, "argument --project: 'My Project' is not a project id"),
        ({"--dataset": "a.b"}, "argument --dataset: 'a.b' is not a dataset's name"),
        ({"--topic": "events"}, "argument --topic: 'events' is not projects/PROJECT/topics/TOPIC"),
        ({"--timeout": "0"}, "argument --timeout: '0' is not a number above 0"),
        ({"--timeout": "nan"}, "argument --timeout: 'nan' is not a number above 0"),
        ({"--timeout": "soon"}, "argument --timeout: 'soon' is not a number above 0"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    change: dict[str, str | None], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the argument; an empty one is a shell variable that is not set."""
    given = {"--project": "project", "--dataset": "events_prod", "--topic": TOPIC, **change}
    arguments = [part for name, value in given.items() if value is not None for part in (name, value)]
    with pytest.raises(SystemExit) as left:
        main(["smoke", *arguments])
    assert left.value.code == 2
    assert capsys.readouterr().err == f"python -m operate smoke: {expected}\n"
