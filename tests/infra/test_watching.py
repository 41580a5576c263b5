"""Alerts, metrics and the dashboard: what they ask for is there to be found."""

import asyncio
import json
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Consumer
from google.cloud import monitoring_dashboard_v1
from google.protobuf.json_format import ParseDict

import logs
import main
from bridge import forward
from bridge.health import Status
from tests.infra.conftest import Resource

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
    assert len(queries) == 6
    assert len(asked_for) >= 8
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


class _Consumer:
    def assignment(self) -> list[object]:
        return []

    def position(self, _: list[object]) -> list[object]:
        return []


class _Writer:
    async def write(self, *_: object) -> None:
        return None


def test_log_metrics_read_fields_that_are_logged(
    resources: list[Resource], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the metrics ask of the logs is in the lines that bridge and function write."""
    logs.log.handlers.clear()
    logs.set_up()
    Status(lambda: 0.0).report(cast("Consumer", _Consumer()))
    monkeypatch.setattr(main, "writer", _Writer())
    asyncio.run(cast("Awaitable[None]", main.keep("application/json", b"no push")))  # type: ignore[arg-type]
    logs.log.handlers.clear()
    logs.set_up()
    status, dead_letter = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    metrics = {str(m["name"]): m for m in values(resources, "google_logging_metric")}
    lag = metrics["kafka_bq_prod_bridge_lag"]
    assert f'jsonPayload.message="{status["message"]}"' in str(lag["filter"])
    assert lag["value_extractor"] == "EXTRACT(jsonPayload.lag)"
    assert status["lag"] == 0
    dead = metrics["kafka_bq_prod_dead_letters"]
    (words,) = re.findall(r'jsonPayload\.message:"([^"]+)"', str(dead["filter"]))
    assert dead_letter["message"].startswith(words)
    assert dead["label_extractors"] == {"reason": "EXTRACT(jsonPayload.reason)"}
    assert dead_letter["reason"] == "malformed_envelope"
    held = str(metrics["kafka_bq_prod_bridge_held"]["filter"])
    (words,) = re.findall(r'jsonPayload\.message:"([^"]+)"', held)
    assert f'"{words}: %s"' in Path(forward.__file__).read_text()
