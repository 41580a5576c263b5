"""What `make run` costs: memory of all its processes over minutes, CPU per event, and inserts as tables grow.

Runs the command itself and looks at its process tree from outside (Linux only: memory is PSS, which counts
shared pages once). Prints tables in Markdown and a line of JSON. An insert's cost is CPU of the emulator:
other programs on the machine hardly change it.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.process_tree import Tree, read_tree
from decoder.streams import DEAD_LETTERS, ROOT, load_streams
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
SAMPLE_EVERY_S = 10
STEADY_FROM_MINUTE = 3
FEW_ROWS, MANY_ROWS = 1_000, 70_000
WINDOW_SAMPLES = 3
ROWS_TO_MEASURE = 1_000


class Sample(msgspec.Struct, frozen=True):
    """One look: seconds since the first row, memory and CPU by part, rows by table, and inserts."""

    seconds: int
    pss: Counter[str]
    cpu_s: Counter[str]
    rows: Counter[str]
    inserts: int


def main() -> None:
    """Run both measurements and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.add_argument("minutes", type=int, nargs="?", default=10, help="of the long run (default: 10)")
    parser.add_argument("--rate", help="events per second of the long run (default: as `make run`)")
    parser.add_argument("--local", default="", help='more arguments of the runs, as "--pubsub embedded"')
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the stack must not outlive this
    more = arguments.local.split()
    result = _long_run(arguments.minutes, [*more, *(["--rate", arguments.rate] if arguments.rate else [])])
    result["cpu_s_per_1000"] = {events: _short_run(events, more) for events in (2_000, 20_000)}
    print(json.dumps(result))


def _long_run(minutes: int, more: Sequence[str]) -> dict[str, object]:
    run = subprocess.Popen([*COMMAND, "--keep", *more], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        folder, port = _find_stack(run.pid)
        log = InsertLog(folder / "function.log")
        samples = _watch(run.pid, log, minutes)
        row_bytes = _row_bytes(port)
    finally:
        run.terminate()
        run.wait(60)
    steady = next((s for s in samples if s.seconds >= 60 * STEADY_FROM_MINUTE), samples[0])
    print(f"\n| part | PSS MB at minute {steady.seconds // 60} | at the end | CPU s |\n|---|---|---|---|")
    for part, size in samples[-1].pss.most_common():
        cpu_s = samples[-1].cpu_s[part]
        print(f"| {part} | {steady.pss[part] / 1e6:,.0f} | {size / 1e6:,.0f} | {cpu_s:,.0f} |")
    print(flush=True)
    grown = samples[-1].rows - steady.rows
    return {
        "minutes": minutes,
        "rows": samples[-1].rows.total(),
        "pss_mb": round(samples[-1].pss.total() / 1e6),
        "pss_growth_mb": round((samples[-1].pss.total() - steady.pss.total()) / 1e6),
        "row_growth_mb": round(sum(n * row_bytes[table] for table, n in grown.items()) / 1e6),
        "p50_ms": log.quantile_ms(0.5),
        "p99_ms": log.quantile_ms(0.99),
        "insert_cpu_ms": {rows: _insert_cpu_ms(samples, rows) for rows in (FEW_ROWS, MANY_ROWS)},
    }


def _watch(pid: int, log: InsertLog, minutes: int) -> list[Sample]:
    head = "| minute | PSS MB | rows | CPU s per 1,000 rows | rows per insert | CPU ms per insert |"
    print(f"{head}\n|---|---|---|---|---|---|", flush=True)
    samples: list[Sample] = []
    started = time.monotonic()
    for seconds in range(0, 60 * minutes + 1, SAMPLE_EVERY_S):
        time.sleep(max(0.0, started + seconds - time.monotonic()))
        log.read()
        samples.append(_sample(seconds, read_tree(pid), log))
        if seconds and seconds % 60 == 0:
            last, before = samples[-1], samples[-1 - 60 // SAMPLE_EVERY_S]
            rows, inserts = (last.rows - before.rows).total(), last.inserts - before.inserts
            cpu_s = last.cpu_s.total() - before.cpu_s.total()
            insert_ms = _cpu_ms(before, last)
            print(
                f"| {seconds // 60} | {last.pss.total() / 1e6:,.0f} | {last.rows.total():,} | "
                f"{1_000 * cpu_s / max(1, rows):.2f} | {rows / max(1, inserts):.1f} | {insert_ms:.1f} |",
                flush=True,
            )
    return samples


def _sample(seconds: int, tree: Tree, log: InsertLog) -> Sample:
    pss, cpu_s = Counter[str](), Counter[str]()
    for process in tree.processes:
        line = " ".join(process.command)
        part = next((part for mark, part in PARTS.items() if mark in line), line)
        pss[part] += process.pss
        cpu_s[part] += process.cpu_s  # type: ignore[assignment] # a Counter adds what is a number
    return Sample(seconds, pss, cpu_s, log.rows.copy(), log.inserts)


def _insert_cpu_ms(samples: Sequence[Sample], rows: int) -> float | None:
    """Return what an insert cost from where the fullest table has so many rows, None if it never had."""
    ((fullest, _),) = samples[-1].rows.most_common(1)
    start = next((index for index, sample in enumerate(samples) if sample.rows[fullest] >= rows), None)
    if start is None or start + WINDOW_SAMPLES >= len(samples):
        return None
    return round(_cpu_ms(samples[start], samples[start + WINDOW_SAMPLES]), 2)


def _cpu_ms(before: Sample, after: Sample) -> float:
    part = PARTS[EMULATOR]
    return 1_000 * (after.cpu_s[part] - before.cpu_s[part]) / max(1, after.inserts - before.inserts)


def _short_run(events: int, more: Sequence[str]) -> float:
    """Return CPU seconds of all processes per 1,000 events, start to end; raises if any are lost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*COMMAND, "--events", str(events), "--rate", "2000", "--exit", *more]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        code = run.wait()
    finally:
        run.terminate()
        run.wait(60)
    if code != 0:
        raise subprocess.CalledProcessError(code, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(seconds / events * 1_000, 2)


def _find_stack(pid: int) -> tuple[Path, int]:
    """Return the folder of the run's logs and BigQuery's port, once the first row is in it."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        for command in (process.command for process in read_tree(pid).processes):
            if EMULATOR in command:
                log = Path(command[command.index(EMULATOR) + 1]).with_name("function.log")
                if log.exists() and b'"inserted"' in log.read_bytes():
                    return log.parent, int(command[command.index("--rest-port") + 1])
        time.sleep(0.2)
    raise TimeoutError(f"no row within {START_S:.0f} s of `{' '.join(COMMAND)}`")


def _row_bytes(port: int) -> dict[str, float]:
    """Return the bytes of a row as JSON, the mean of some, by table."""
    client = connect(port, PROJECT)
    means = {}
    for table in (*(stream.table for stream in load_streams().values()), DEAD_LETTERS):
        some = f"SELECT * FROM `{DATASET}.{table}` LIMIT {ROWS_TO_MEASURE}"
        (row,) = client.query_and_wait(f"SELECT AVG(LENGTH(TO_JSON_STRING(t))) AS mean FROM ({some}) AS t")
        means[table] = row.mean or 0.0
    return means


if __name__ == "__main__":
    main()
