"""Alerts, metrics and the dashboard: what they ask for is there to be found."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
from google.cloud import monitoring_dashboard_v1
from google.protobuf.json_format import ParseDict

import bridge.__main__
import logs
import main
from bridge.config import load
from sink.batch import Outcome, Row
from sink.bigquery import Table
from sink.writer import Writer
from tests.infra.conftest import REPOSITORY, Resource
from tests.unit.bridge.test_forward import (
    P0,
    P1,
    Bridge,
    FakeConsumer,
    down,
    message,
    out_of_range,
    refuse_all,
)
from tests.unit.bridge.test_program import SETTINGS

pytestmark = pytest.mark.needs("terraform")

# Those of the platform that are used, with the resource and the labels that they have:
# https://cloud.google.com/monitoring/api/metrics_gcp
PLATFORM = {
    "bigquery.googleapis.com/storage/uploaded_row_count": ("bigquery_dataset", {"table"}, "DELTA INT64"),
    "pubsub.googleapis.com/subscription/num_undelivered_messages": (
        "pubsub_subscription",
        set(),
        "GAUGE INT64",
    ),
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age": (
        "pubsub_subscription",
        set(),
        "GAUGE INT64",
    ),
    "pubsub.googleapis.com/subscription/push_request_count": (
        "pubsub_subscription",
        {"response_class", "response_code", "delivery_type"},
        "DELTA INT64",
    ),
    "pubsub.googleapis.com/topic/message_sizes": ("pubsub_topic", set(), "DELTA DISTRIBUTION"),
    "run.googleapis.com/container/instance_count": ("cloud_run_revision", {"state"}, "GAUGE INT64"),
    "run.googleapis.com/request_count": (
        "cloud_run_revision",
        {"response_code", "response_code_class", "route"},
        "DELTA INT64",
    ),
    "run.googleapis.com/request_latencies": (
        "cloud_run_revision",
        {"response_code", "response_code_class", "route"},
        "DELTA DISTRIBUTION",
    ),
}
# https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#Aligner
ALIGNERS = {
    "GAUGE INT64": {"ALIGN_MAX", "ALIGN_MIN", "ALIGN_MEAN", "ALIGN_SUM", "ALIGN_COUNT"},
    "DELTA INT64": {
        "ALIGN_RATE",
        "ALIGN_DELTA",
        "ALIGN_SUM",
        "ALIGN_MAX",
        "ALIGN_MIN",
        "ALIGN_MEAN",
        "ALIGN_COUNT",
    },
    "DELTA DISTRIBUTION": {"ALIGN_DELTA", "ALIGN_SUM", "ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_50"},
}
RESOURCE_LABELS = {
    "bigquery_dataset": {"dataset_id"},
    "cloud_run_revision": {"service_name"},
    "cloud_run_worker_pool": {"worker_pool_name"},
    "pubsub_subscription": {"subscription_id"},
    "pubsub_topic": {"topic_id"},
}


def values(resources: list[Resource], kind: str) -> list[Resource]:
    """Return the values of the resources of a type."""
    return [cast("Resource", r["values"]) for r in resources if r["type"] == kind]


def dashboard(resources: list[Resource]) -> Resource:
    """Return the dashboard's content."""
    (board,) = values(resources, "google_monitoring_dashboard")
    content: Resource = json.loads(str(board["dashboard_json"]))
    return content


def everything(part: object) -> Iterator[dict[str, object]]:
    """Yield each object of a JSON document, however deep."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from everything(each)


def parts(resources: list[Resource]) -> list[Resource]:
    """Return each object in the alerts and in the dashboard."""
    return list(everything([values(resources, "google_monitoring_alert_policy"), [dashboard(resources)]]))


def conditions(resources: list[Resource]) -> list[tuple[str, Resource]]:
    """Return each filter on metrics, with the object that it is in."""
    return [(str(part["filter"]), part) for part in parts(resources) if part.get("filter")]


def test_filters_name_metrics_that_exist(resources: list[Resource]) -> None:
    """Each filter names one metric, of the platform or of the module, and labels that it has."""
    own = {str(metric["name"]) for metric in values(resources, "google_logging_metric")}
    filters = conditions(resources)
    assert len(filters) > 10
    for condition, _ in filters:
        (metric,) = re.findall(r'metric\.type="([^"]+)"', condition)
        kinds = re.findall(r'resource\.type="([^"]+)"', condition)
        labels = set(re.findall(r"metric\.labels?\.(\w+)", condition))
        if metric.startswith("logging.googleapis.com/user/"):
            assert metric.removeprefix("logging.googleapis.com/user/") in own
            assert labels <= {"reason"}
        else:
            kind, known, _ = PLATFORM[metric]
            assert kinds == [kind]
            assert labels <= known
        for kind in kinds:
            assert set(re.findall(r"resource\.labels\.(\w+)", condition)) <= RESOURCE_LABELS[kind]


def own_types(resources: list[Resource]) -> dict[str, str]:
    """Return kind and type of each log-based metric, by name."""
    types = {}
    for metric in values(resources, "google_logging_metric"):
        (descriptor,) = cast("list[dict[str, str]]", metric["metric_descriptor"])
        types[str(metric["name"])] = f"{descriptor['metric_kind']} {descriptor['value_type']}"
    return types


def test_aligners_suit_their_metrics(resources: list[Resource]) -> None:
    """Each aligner is one that Cloud Monitoring takes for a metric of this kind and type."""
    own = own_types(resources)
    found = 0
    for condition, part in conditions(resources):
        (metric,) = re.findall(r'metric\.type="([^"]+)"', condition)
        name = metric.removeprefix("logging.googleapis.com/user/")
        aggregations = part.get("aggregations") or [part["aggregation"]]
        for each in cast("list[dict[str, str]]", aggregations):
            aligner = each.get("per_series_aligner") or each["perSeriesAligner"]
            assert aligner in ALIGNERS[own.get(name) or PLATFORM[metric][2]], (metric, aligner)
            found += 1
    assert found > 10


def test_queries_name_metrics_that_exist(resources: list[Resource]) -> None:
    """Each metric in PromQL is one of the platform or the module, with its type's suffix and its labels."""
    known = {
        metric.replace(".", "_").replace("/", ":", 1).replace("/", "_"): (
            kind,
            labels | RESOURCE_LABELS[kind],
            type_,
        )
        for metric, (kind, labels, type_) in PLATFORM.items()
    }
    for name, type_ in own_types(resources).items():
        known[f"logging_googleapis_com:user_{name}"] = ("", {"reason"}, type_)
    queries = [
        part[word] for part in parts(resources) for word in ("query", "prometheusQuery") if part.get(word)
    ]
    asked_for = [
        each for query in queries for each in re.findall(r"(\w+_googleapis_com:\w+)\{([^}]*)\}", str(query))
    ]
    assert len(queries) == 10
    assert len(asked_for) == 14
    for name, matchers in asked_for:
        metric = name if name in known else re.sub(r"_(count|sum)$", "", name)
        kind, labels, type_ = known[metric]
        assert (metric != name) == type_.endswith("DISTRIBUTION"), name
        found = dict(re.findall(r'(\w+)="([^"]*)"', matchers))
        assert found.pop("monitored_resource") in ({kind} if kind else RESOURCE_LABELS)
        assert set(found) <= labels


def test_the_dashboard_is_one(resources: list[Resource]) -> None:
    """The dashboard is a Dashboard of Cloud Monitoring's API, strictly, and its columns follow the path."""
    content = dashboard(resources)
    message = monitoring_dashboard_v1.Dashboard.pb(monitoring_dashboard_v1.Dashboard())
    ParseDict(content, message)
    titles = [
        tile.widget.title for tile in sorted(message.mosaic_layout.tiles, key=lambda t: (t.y_pos, t.x_pos))
    ]
    assert titles[:4] == ["1 Kafka and the bridge", "2 Pub/Sub", "3 The function", "4 BigQuery"]


class _Table(Table):
    """A table that takes everything."""

    def __init__(self) -> None:
        pass

    def insert(self, rows: Sequence[Row]) -> list[Outcome]:
        return [None] * len(rows)


async def keep_one() -> None:
    """Write a dead letter, and a row of which Kafka's timestamp is known."""
    await main.keep("application/json", b"no push")
    await main.writer.write("delivery_changed", [Row(b"{}", 0)])


def run_into_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the bridge's program until a partition's offset is out of range; it stops there."""
    consumer = FakeConsumer([])
    consumer.assigned, consumer.group, consumer.ends = [P1], {P1: 77}, {P1: (80, 90)}
    consumer.waiting = [out_of_range()]
    monkeypatch.setattr(bridge.__main__, "_open_consumer", lambda *_: consumer)
    monkeypatch.setattr(bridge.__main__, "exit_after", lambda _: None)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    assert bridge.__main__.run(load([], SETTINGS), bridge.__main__.Stop()) == 1


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[list[Resource]]:
    """Return the lines of an outage, dead letters of both, and a gap: each as the programs write it."""
    logs.log.handlers.clear()
    logs.set_up()
    forwarding = Bridge()
    forwarding.status.acknowledged(0.25, 100)
    forwarding.publisher.results = [down] * 80
    forwarding.run(message(P0, 4))
    forwarding.publisher.results = [refuse_all]
    forwarding.run(message(P0, 5))
    monkeypatch.setattr(main, "writer", Writer(lambda _: _Table()))
    asyncio.run(keep_one())
    run_into_a_gap(monkeypatch)
    yield [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logs.log.handlers.clear()
    logs.set_up()


def matches(condition: str, line: Resource) -> bool:
    """Return whether a filter's words about the line itself, which are all of its ANDs, are true of it."""
    clauses = re.findall(
        r'(?:jsonPayload\.)?\b(\w+)(=|:)(\*|"[^"]*")', re.sub(r"resource\.\S+", "", condition)
    )
    assert clauses
    for field, operator, value in clauses:
        text = str(line.get(field, ""))
        if not {
            "=": text == value.strip('"'),
            ":": field in line and (value == "*" or value.strip('"').lower() in text.lower()),
        }[operator]:
            return False
    return True


def test_log_metrics_read_lines_that_are_logged(resources: list[Resource], lines: list[Resource]) -> None:
    """Of what bridge and function write, each metric counts its own lines, and they have its fields."""
    status = [line for line in lines if line["message"] == "status"]
    held = [line for line in status if "degraded" in line]
    assert len(status) > len(held) > 2
    found = {}
    for metric in values(resources, "google_logging_metric"):
        name = str(metric["name"]).removeprefix("kafka_bq_prod_")
        found[name] = [line for line in lines if matches(str(metric["filter"]), line)]
        extractors = [metric["value_extractor"], *cast("Resource", metric["label_extractors"] or {}).values()]
        for field in re.findall(r"EXTRACT\(jsonPayload\.(\w+)\)", str(extractors)):
            assert all(field in line for line in found[name]), (name, field)
        if metric["value_extractor"]:
            assert own_types(resources)[str(metric["name"])] == "DELTA DISTRIBUTION"
    assert found["bridge_retries"] == status
    assert found["bridge_lag"] == [line for line in status if line["assigned"]] != []
    assert found["bridge_since_acknowledged_s"] == found["bridge_lag"]
    since = [cast("int", line["since_acknowledged_s"]) for line in held]
    assert since[0] < since[-1]
    (published,) = found["bridge_publish_ms"]
    assert (published["message"], published["publish_ms"]) == ("status", 250)
    assert found["bridge_degraded"] == held
    assert [line["retries"] for line in held] == sorted(cast("int", line["retries"]) for line in held)
    (began,) = found["bridge_held"]
    assert began["severity"] == "ERROR"
    assert [line["reason"] for line in found["dead_letters"]] == ["too_large", "malformed_envelope"]
    (gap,) = found["bridge_gap"]
    assert gap["missing"] == 3
    (stopped,) = found["bridge_stopped"]
    assert str(stopped["message"]).startswith("stopped: t/1: the committed offset 77 is out of range")
    (inserted,) = found["kafka_to_bigquery"]
    assert (inserted["table"], inserted["rows"]) == ("delivery_changed", 1)
    assert len(found) == 10


def test_each_log_metric_is_on_the_dashboard_or_in_an_alert(resources: list[Resource]) -> None:
    """No metric is made for nobody; what the bridge says of itself is on the dashboard."""
    shown = json.dumps(dashboard(resources))
    alerts = json.dumps(values(resources, "google_monitoring_alert_policy"))
    for name in own_types(resources):
        assert name in shown + alerts, name
    for name in ("lag", "gap", "degraded", "retries", "stopped", "publish_ms", "since_acknowledged_s"):
        assert f"kafka_bq_prod_bridge_{name}" in shown, name
    for name in ("lag", "gap", "degraded", "held", "stopped"):
        assert f"kafka_bq_prod_bridge_{name}" in alerts, name


def test_a_gap_is_as_severe_as_a_dead_letter(resources: list[Resource]) -> None:
    """Both are records that are no rows; that the bridge stops is more."""
    severity = {
        str(policy["display_name"]).partition(": ")[2]: policy["severity"]
        for policy in values(resources, "google_monitoring_alert_policy")
    }
    assert severity["records were gone before they were read"] == severity["dead letters"]
    assert severity["the bridge is not running"] == "CRITICAL"


def test_each_alert_has_an_entry(resources: list[Resource]) -> None:
    """The table of docs/operations.md has each alert by its name."""
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    table = page.partition("| alert | what happened | what to do |\n|---|---|---|\n")[2].partition("\n\n")[0]
    entries = {line.split("|")[1].strip() for line in table.splitlines()} - {""}
    names = {
        str(policy["display_name"]).partition(": ")[2]
        for policy in values(resources, "google_monitoring_alert_policy")
    }
    assert entries == {re.sub(r"\d+", "…", name) for name in names}
