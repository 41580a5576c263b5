"""What `make run` costs: memory of all its processes over minutes, CPU per event, and inserts as tables grow.

Runs the command itself and looks at its process tree from outside (Linux only: memory is PSS, which counts
shared pages once). Prints a table in Markdown, a row per minute, and a line of JSON.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.process_tree import Tree, read_tree
from decoder.streams import ROOT, load_streams
from local.bigquery import connect
from local.latency import InsertLog
from local.stack import DATASET, PROJECT

COMMAND = (sys.executable, "-m", "local")
EMULATOR = "local.emulator"  # whose arguments say where the run's logs are, and its port
# What its command line has in it, of each part.
PARTS = {
    EMULATOR: "BigQuery",
    "pubsub-emulator": "Pub/Sub",
    "local.standin": "Pub/Sub",
    "functions-framework": "function",
    "kafka.Kafka": "Kafka",
    "-m bridge": "bridge",
    "-m local": "display, producer, and Kafka where embedded",
}
START_S = 60.0
STEADY_FROM_MINUTE = 3
FEW_ROWS, MANY_ROWS = 1_000, 70_000
WINDOW_ROWS = 4_000
SAMPLE_ROWS = 1_000


class Sample(msgspec.Struct, frozen=True):
    """One look: minutes since the start, bytes of memory, seconds of CPU, and rows by table."""

    minute: int
    pss: int
    cpu_s: float
    rows: dict[str, int]


def main() -> None:
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.add_argument("minutes", type=int, nargs="?", default=10, help="of the long run (default: 10)")
    parser.add_argument(
        "--rate", default="", help="events per second of the long run (default: as `make run`)"
    )
    parser.add_argument("--local", default="", help='more arguments of both runs, as "--pubsub embedded"')
    arguments = parser.parse_args()
    more = arguments.local.split()
    result = _long_run(arguments.minutes, [*more, *(["--rate", arguments.rate] if arguments.rate else [])])
    result["cpu_s_per_1000"] = {events: _short_run(events, more) for events in (2_000, 20_000)}
    print(json.dumps(result))


def _long_run(minutes: int, more: Sequence[str]) -> dict[str, object]:
    run = subprocess.Popen([*COMMAND, "--keep", *more], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        folder, port = _find_stack(run.pid)
        inserts = InsertLog(folder / "function.log")
        print("| minute | PSS MB | rows | CPU s | CPU s per 1,000 rows |\n|---|---|---|---|---|", flush=True)
        samples: list[Sample] = []
        started = time.monotonic()
        for minute in range(1, minutes + 1):
            time.sleep(max(0.0, started + 60 * minute - time.monotonic()))
            inserts.read()
            tree = read_tree(run.pid)
            samples.append(Sample(minute, tree.pss, tree.cpu_s, dict(inserts.rows)))
            print(_row(samples), flush=True)
        row_bytes = _row_bytes(port)
        print("\n| part | PSS MB |\n|---|---|")
        for part, size in _by_part(tree).most_common():
            print(f"| {part} | {size / 1e6:,.0f} |")
    finally:
        run.terminate()
        run.wait(60)
    steady = [sample for sample in samples if sample.minute >= STEADY_FROM_MINUTE] or samples
    grown = {table: n - steady[0].rows.get(table, 0) for table, n in samples[-1].rows.items()}
    grown_bytes = sum(n * row_bytes[table] for table, n in grown.items())
    return {
        "minutes": minutes,
        "rows": sum(samples[-1].rows.values()),
        "pss_mb": round(samples[-1].pss / 1e6),
        "pss_growth_mb": round((steady[-1].pss - steady[0].pss) / 1e6),
        "row_growth_mb": round(grown_bytes / 1e6),
        "p50_ms": inserts.quantile_ms(0.5),
        "p99_ms": inserts.quantile_ms(0.99),
        "insert_ms": _insert_ms(folder / "function.log"),
    }


def _short_run(events: int, more: Sequence[str]) -> float:
    """Return CPU seconds of all processes per 1,000 events, start to end; raises if any are lost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*COMMAND, "--events", str(events), "--rate", "2000", "--exit", *more]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(seconds / events * 1_000, 2)


def _find_stack(pid: int) -> tuple[Path, int]:
    """Return the folder of the run's logs and BigQuery's port, once the first row is in it."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        for command in (process.command for process in read_tree(pid).processes):
            if EMULATOR in command:
                folder = Path(command[command.index(EMULATOR) + 1]).parent
                port = int(command[command.index("--rest-port") + 1])
                if b'"inserted"' in _read(folder / "function.log"):
                    return folder, port
        time.sleep(0.2)
    raise TimeoutError(f"no row within {START_S:.0f} s of `{' '.join(COMMAND)}`")


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _row_bytes(port: int) -> dict[str, float]:
    """Return the bytes of a table's row as JSON, the mean of some, by table."""
    client = connect(port, PROJECT)
    tables = [*(stream.table for stream in load_streams().values()), "dead_letters"]
    means = {}
    for table in tables:
        sample = f"SELECT * FROM `{DATASET}.{table}` LIMIT {SAMPLE_ROWS}"
        sql = f"SELECT AVG(LENGTH(TO_JSON_STRING(t))) AS mean FROM ({sample}) AS t"
        (row,) = client.query_and_wait(sql)
        means[table] = row.mean or 0.0
    return means


def _insert_ms(log: Path) -> dict[int, dict[str, float]]:
    """Return the median milliseconds and rows of the fullest table's inserts, few and many rows in it."""
    lines = [json.loads(line) for line in log.read_bytes().splitlines() if b'"message":"inserted"' in line]
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line["table"]] += line["rows"]
    ((fullest, _),) = totals.most_common(1)
    size, found = 0, dict[int, list[tuple[int, int]]]()
    for line in lines:
        if line["table"] == fullest:
            for start in (FEW_ROWS, MANY_ROWS):
                if start <= size < start + WINDOW_ROWS:
                    found.setdefault(start, []).append((line["insert_ms"], line["rows"]))
            size += line["rows"]
    return {
        start: {
            "insert_ms": statistics.median(ms for ms, _ in inserts),
            "rows": statistics.median(rows for _, rows in inserts),
        }
        for start, inserts in found.items()
    }


def _row(samples: Sequence[Sample]) -> str:
    last, rows = samples[-1], sum(samples[-1].rows.values())
    per_1000 = 1_000 * last.cpu_s / max(1, rows)
    return f"| {last.minute} | {last.pss / 1e6:,.0f} | {rows:,} | {last.cpu_s:,.0f} | {per_1000:.2f} |"


def _by_part(tree: Tree) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for process in tree.processes:
        line = " ".join(process.command)
        sizes[next((part for mark, part in PARTS.items() if mark in line), line)] += process.pss
    return sizes


if __name__ == "__main__":
    main()
