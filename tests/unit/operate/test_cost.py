"""The costs, against numbers reckoned by hand from the prices and sizes of operate/cost.py."""

import itertools
import os
import re
import statistics
import subprocess
import sys
from datetime import UTC, datetime

import pytest

import envelope
from decoder.streams import ROOT
from envelope import Record
from operate import cost
from operate.__main__ import main
from operate.cost import Load, Part, Price
from tests.events import sample_events

# 26,280,000 events a month of 730 hours, and a hundred times as many.
SLOW = Load(10, 500)
FAST = Load(1_000, 500)
FAST_BUNDLES = Load(1_000, 500, 50)


def test_what_is_free_costs_nothing() -> None:
    """Only the quantity above the free one is billed."""
    price = Price(0.40, 1e6, 2e6, "million", "")
    assert price.cost(1_999_999) == 0
    assert price.cost(5_000_000) == pytest.approx(1.20)


@pytest.mark.parametrize(
    ("load", "published", "delivered"),
    [
        (SLOW, 1_000, 1_000),  # 848 bytes, alone in their request
        (FAST, 848, 1_000),  # 50 share a request, a push is for each
        (Load(1_000, 1_500), 1_848, 1_848),
        (Load(1_000, 0), 348, 1_000),
        (FAST_BUNDLES, 37_766, 37_766),  # 50 x (500 + 254) + 30 + 36
    ],
)
def test_pubsub_bills_a_minimum_a_request(load: Load, published: int, delivered: int) -> None:
    """A publish request shares its minimum among its messages; each push has its own."""
    assert cost.published_bytes(load) == published
    assert cost.delivered_bytes(load) == delivered


@pytest.mark.parametrize(
    ("rate", "busy"),
    [(2, 0.3), (10, 1), (1_000, 1), (1_001, 2), (10_000, 10)],
)
def test_an_instance_is_billed_while_it_is_busy(rate: float, busy: float) -> None:
    """0.15 s an event while there are few, all the time at load; one more for every 1,000 a second."""
    assert cost.busy_instances(Load(rate, 500)) == pytest.approx(busy)


def test_bundles_keep_as_many_instances_only_as_there_is_work_for() -> None:
    """Twenty bundles a second would keep three busy, but one does the work."""
    assert cost.busy_instances(FAST_BUNDLES) == 1
    assert cost.busy_instances(Load(100, 500, 100)) == pytest.approx(0.15)


@pytest.mark.parametrize(("rate", "instances"), [(0.1, 1), (30_000, 1), (30_001, 2)])
def test_the_bridge_runs_at_least_once(rate: float, instances: int) -> None:
    """One instance serves up to 30,000 a second."""
    assert cost.bridge_instances(Load(rate, 500)) == instances


@pytest.mark.parametrize(
    ("part", "usd"),
    [
        # (26,280,000 x 2,000 B - 10 GiB) / 1 TiB x 40
        (cost.throughput(SLOW), 1.5215),
        # (2,628,000,000 x 1,848 B - 10 GiB) / 1 TiB x 40
        (cost.throughput(FAST), 176.2894),
        # (52,560,000 x 75,532 B - 10 GiB) / 1 TiB x 40
        (cost.throughput(FAST_BUNDLES), 144.0357),
        # 10 x 848 B x 604,800 s / 1 GiB x 0.27
        (cost.retention(SLOW), 1.2897),
        # 26.28 - 2 millions
        (cost.function_requests(SLOW), 9.712),
        (cost.function_requests(FAST), 1_050.40),
        (cost.function_requests(FAST_BUNDLES), 20.224),
        # (2,628,000 - 180,000) x 0.000024
        (cost.function_cpu(SLOW), 58.752),
        # (26,280,000 - 180,000) x 0.000024
        (cost.function_cpu(Load(10_000, 500)), 626.4),
        # (1,314,000 - 360,000) x 0.0000025
        (cost.function_memory(SLOW), 2.385),
        # 2,628,000 x (0.000011244 + 0.5 x 0.000001235)
        (cost.bridge(SLOW), 31.1720),
        # 26,280,000 x 1,400 B / 200 MiB x 0.01
        (cost.inserts(SLOW), 1.7544),
        # 26,280,000 x 1,024 B, because a row of 400 is billed as 1 KB
        (cost.inserts(Load(10, 0)), 1.2832),
        # (26,280,000 x 1,400 B - 10 GiB) / 1 GiB x 0.023
        (cost.storage(SLOW), 0.5581),
        (cost.logs(SLOW), 0.0),
        # 24.5 GiB of 50 free, and (2,628,000,000 x 1,000 B - 50 GiB) / 1 GiB x 0.50
        (cost.request_logs(SLOW), 0.0),
        (cost.request_logs(FAST), 1_198.7579),
    ],
    ids=lambda value: value.name if isinstance(value, Part) else "",
)
def test_a_part_costs_what_it_does_by_hand(part: Part, usd: float) -> None:
    """Each part's dollars are its quantity after the free one, at its price."""
    assert part.usd == pytest.approx(usd, abs=0.0001)


def test_the_total_is_that_of_all_parts_but_the_request_logs() -> None:
    """Nine parts add up."""
    assert len(cost.bill(SLOW)) == 9
    assert cost.total(SLOW) == pytest.approx(
        1.5215 + 1.2897 + 9.712 + 58.752 + 2.385 + 31.1720 + 1.7544 + 0.5581, abs=0.001
    )


def test_bundles_are_shown_where_they_hold_several() -> None:
    """At 10 a second a bundle is a plain message, at 10,000 it is as large as it may be."""
    assert cost.loads([10, 1_000, 10_000], 500) == [
        SLOW,
        FAST,
        FAST_BUNDLES,
        Load(10_000, 500),
        Load(10_000, 500, 100),
    ]


def test_the_report_is_markdown_with_the_arithmetic_and_the_prices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command prints a table of all loads, one of each, and one of the prices with their pages."""
    assert main(["cost", "--events-per-second", "10", "1000", "--bytes", "500"]) == 0
    tables = [
        [line.strip("| ").split(" | ") for line in block.splitlines()]
        for block in capsys.readouterr().out.split("\n\n")
        if block.startswith("|")
    ]
    assert len(tables) == 1 + 3 + 1
    for table in tables:
        assert len({len(row) for row in table[1:]}) == 1
    summary = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in tables[0][2:]}
    assert summary["**Total**"] == ["**107.14**", "**1,701.98**", "**625.46**"]
    assert summary["Function requests"] == ["9.71", "1,050.40", "20.22"]
    assert summary["Request logs, if not excluded"] == ["+ 0.00", "+ 1,198.76", "+ 0.00"]
    requests = next(row for row in tables[2] if row[0].strip() == "Function requests")
    assert [cell.strip() for cell in requests[1:]] == ["1,050.40", "2,628,000,000 requests"]
    assert all(row[2].strip().startswith("https://cloud.google.com/") for row in tables[-1][2:])
    assert [row[1].strip() for row in tables[-1][2:]][:2] == ["40", "0.27"]


@pytest.mark.parametrize(
    "arguments", [["--events-per-second", "0"], ["--events-per-second", "inf"], ["--bytes", "-1"]]
)
def test_a_wrong_number_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Rates are above 0 and have an end; a size is whole bytes."""
    with pytest.raises(SystemExit) as left:
        main(["cost", *arguments])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m operate cost: ")


def test_a_reader_that_has_left_is_no_error() -> None:
    """Regression: `cost | head` ended with a traceback of BrokenPipeError."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "operate", "cost"],
            cwd=ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_sizes_are_those_of_sample_events() -> None:
    """What a message adds to its value is the mean of tests/events within a tenth, in either form."""
    plain, bundled = [], []
    samples = sample_events(1, lambda: datetime.now(UTC), spoil_ratio=0.0)
    for number, sample in enumerate(itertools.islice(samples, 1_000)):
        record = Record(
            sample.topic, 3, 10**6 + number, 1_795_472_745_908, sample.key, sample.headers, sample.value
        )
        size = len(sample.value or b"")
        bundled.append(len(envelope.pack_bundle((record,), "prod").data) - size)
        attributes = envelope.pack(record, "prod").attributes
        if envelope.BUNDLE not in attributes:
            plain.append(sum(len(name) + len(value.encode()) for name, value in attributes.items()))
    assert statistics.mean(plain) == pytest.approx(cost.ATTRIBUTE_BYTES, rel=0.1)
    assert statistics.mean(bundled) == pytest.approx(cost.BUNDLED_BYTES, rel=0.1)


def test_the_sizes_are_those_of_terraform() -> None:
    """Function, bridge and topic cost what Terraform makes of them by default."""
    variables = (ROOT / "terraform" / "variables.tf").read_text()
    assert set(re.findall(r"\bcpu +=.*\"(.*)\"", variables)) == {f"{cost.VCPU:g}"}
    assert set(re.findall(r"\bmemory +=.*\"(.*)\"", variables)) == {f"{cost.MEMORY_GIB * 1024:g}Mi"}
    retention = re.search(r'"retention_days" {.*?default += (\d+)', variables, re.DOTALL)
    assert retention
    assert int(retention[1]) == cost.RETENTION_DAYS


def test_the_table_of_the_deployment_page_is_what_is_printed() -> None:
    """docs/deploy.md has the plain columns of the report, row for row, and the totals of the bundles."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    table = page.partition("| | 10/s | 1,000/s | 10,000/s |\n|---|--:|--:|--:|\n")[2].partition("\n\n")[0]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    plain = [Load(rate, 500) for rate in (10, 1_000, 10_000)]
    rows = zip(*(cost.bill(load) for load in plain), strict=True)
    expected = [[parts[0].name, *(f"{part.usd:,.2f}" for part in parts)] for parts in rows]
    assert shown == [*expected, ["**Total**", *(f"**{cost.total(load):,.2f}**" for load in plain)]]
    bundled = [cost.total(Load(rate, 500, cost.bundle_size(rate))) for rate in (1_000, 10_000)]
    assert "total would be {:,.0f} at 1,000/s and {:,.0f} at 10,000/s".format(*bundled) in page


def test_the_arithmetic_of_the_deployment_page_is_what_is_printed() -> None:
    """docs/deploy.md shows how the column of 1,000/s comes about, with the prices that it is made from."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    table = page.partition("| 1,000/s | of | at |\n|---|---|---|\n")[2].partition("\n\n")[0]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[:2] for row in shown] == [
        [part.name, part.arithmetic] for part in cost.bill(Load(1_000, 500))
    ]
    prices = [price for row in shown for price in row[2].split("; ")]
    fields = [getattr(cost.PRICES, name) for name in cost.PRICES.__struct_fields__]
    assert sorted(prices) == sorted(
        f"{field.usd:.9f}".rstrip("0").rstrip(".") + f" per {field.unit}" for field in fields
    )
