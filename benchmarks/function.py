"""`python -m benchmarks.function`: CPU per event of the function, beside its rivals, in one run.

Each contender is served by functions-framework with one worker, and inserts into a stand-in for BigQuery that
takes 50 ms an insert. Another process pushes events of about 170 bytes with four headers, 400 at once.
CPU is user and system time of the worker, as the operating system counts it. Every contender is run several
times in turn, and the median counts: the machine may be shared.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import requests
from rich.console import Console
from rich.progress import track

from benchmarks.bridge import cpu_s, stopped
from benchmarks.pushes import BUNDLE
from benchmarks.slow_bigquery import INSERT_S
from local.processes import Process, accepts, free_port

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "benchmarks" / "functions"
CONNECTIONS = 400
THREADS = 100  # of the naive function, which waits for BigQuery in one each
GIVE_UP_AFTER_S = 600


class Contender(msgspec.Struct, frozen=True):
    """A function: its source, the form of its pushes, how many, and how many at once."""

    name: str
    source: Path
    form: str
    pushes: int
    connections: int = CONNECTIONS

    @property
    def events(self) -> int:
        """How many events its pushes bring."""
        return self.pushes * (BUNDLE if self.form == "bundle" else 1)


CONTENDERS = {
    "floor": Contender("a bare async handler", FUNCTIONS / "floor.py", "plain", 20_000),
    "plain": Contender("this function", ROOT / "main.py", "plain", 20_000),
    # 400 bundles of 200 at once would be more rows than the function lets wait: 64 MB.
    "bundle": Contender(f"this function, bundles of {BUNDLE}", ROOT / "main.py", "bundle", 500, 40),
    "naive": Contender("CloudEvent, `insert_rows_json` an event", FUNCTIONS / "naive.py", "plain", 2_000),
}


class Run(msgspec.Struct, frozen=True):
    """One contender over all its pushes."""

    events: int
    cpu_s: float
    seconds: float
    p50_ms: float
    p99_ms: float
    rows_per_insert: float

    @property
    def cpu_us(self) -> float:
        """CPU an event, in microseconds."""
        return self.cpu_s / self.events * 1e6


def run(contender: Contender, bigquery_port: int, folder: Path) -> Run:
    """Push all to a function that has been warmed up."""
    with serving(contender, bigquery_port, folder) as (worker, port):
        load(contender.form, port, contender.connections, contender.connections)
        counts(bigquery_port)
        cpu = cpu_s(worker)
        times, seconds = load(contender.form, port, contender.connections, contender.pushes)
        cpu = cpu_s(worker) - cpu
        inserted = counts(bigquery_port)
    if contender.source.name != "floor.py" and inserted["rows"] != contender.events:
        raise RuntimeError(f"{contender.name}: {inserted['rows']} rows of {contender.events} events")
    cuts = statistics.quantiles(times, n=100)
    per_insert = inserted["rows"] / inserted["inserts"] if inserted["inserts"] else 0.0
    return Run(contender.events, cpu, seconds, cuts[49], cuts[98], per_insert)


def idle_ms(bigquery_port: int, folder: Path) -> float:
    """Return what an idle function adds to an insert, in milliseconds: one push at a time, the median."""
    with serving(CONTENDERS["plain"], bigquery_port, folder) as (_, port):
        load("plain", port, 1, 5)
        times, _ = load("plain", port, 1, 50)
    counts(bigquery_port)
    return statistics.median(times) - INSERT_S * 1_000


@contextlib.contextmanager
def serving(contender: Contender, bigquery_port: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Give the process id of the worker that serves the function, and its port."""
    port = free_port()
    is_naive = contender.source.name == "naive.py"
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        *("--target=handle", f"--source={contender.source}", "--host=127.0.0.1", f"--port={port}"),
        *(["--signature-type=cloudevent"] if is_naive else []),
    ]
    env = {
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{bigquery_port}",
        "BIGQUERY_PROJECT": "p",
        "BIGQUERY_DATASET": "events",
        "PYTHONPATH": str(ROOT),
        "THREADS": str(THREADS),
    }
    log = folder / f"{contender.source.stem}-{port}.log"
    with stopped(Process(contender.name, command, log, env=env, cwd=ROOT)) as process:
        process.await_ready(lambda: accepts(port) and len(children(process.pid)) == 1)
        yield children(process.pid)[0], port


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def load(form: str, port: int, connections: int, pushes: int) -> tuple[list[float], float]:
    """Push from another process; return the time of each push in ms, and seconds in all.

    Raises:
        RuntimeError: a push was not acknowledged.
    """
    numbers = [str(number) for number in (port, connections, pushes)]
    command = [sys.executable, "-m", "benchmarks.pushes", form, *numbers]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=GIVE_UP_AFTER_S
    )
    answer = json.loads(done.stdout)
    if answer["refused"]:
        raise RuntimeError(f"{answer['refused']} of {pushes} pushes were not acknowledged")
    return answer["times_ms"], answer["seconds"]


def counts(port: int) -> dict[str, int]:
    """Return what BigQuery was asked for since the last time."""
    answer: dict[str, int] = requests.get(f"http://127.0.0.1:{port}/counts", timeout=10).json()
    return answer


def middle(runs: list[Run]) -> Run:
    """Return the run with the median CPU."""
    return sorted(runs, key=lambda each: each.cpu_us)[len(runs) // 2]


def main() -> None:
    """Run the comparison, and print it in Markdown and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.function", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender (default: 3)")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="leave the others out; no ratios")
    arguments = parser.parse_args()
    names = arguments.only or list(CONTENDERS)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-function-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.slow_bigquery", str(port)]
        with stopped(Process("bigquery", command, folder / "bigquery.log", cwd=ROOT)) as bigquery:
            bigquery.await_ready(lambda: accepts(port))
            turns = [each for _ in range(arguments.repeat) for each in names]
            for each in track(turns, "contenders", console=Console(stderr=True)):
                runs[each].append(run(CONTENDERS[each], port, folder))
            idle = idle_ms(port, folder)
    report({each: middle(found) for each, found in runs.items()}, arguments.repeat, idle)


def report(table: dict[str, Run], repeat: int, idle: float) -> None:
    """Print the table, and where all contenders ran the ratios as JSON."""
    floor = table.get("floor")
    print(f"Median of {repeat}; an insert takes {INSERT_S * 1_000:.0f} ms:\n")
    print("| | CPU µs an event | to the floor | events/s | p50 ms | p99 ms | rows an insert |")
    print("|---|---|---|---|---|---|---|")
    for name, each in table.items():
        ratio = f"{each.cpu_us / floor.cpu_us:.2f}" if floor else ""
        rows = f"{each.rows_per_insert:.0f}" if each.rows_per_insert else ""
        print(
            f"| {CONTENDERS[name].name} | {each.cpu_us:.1f} | {ratio} | {each.events / each.seconds:,.0f} | "
            f"{each.p50_ms:.0f} | {each.p99_ms:.0f} | {rows} |"
        )
    print(f"\nAn idle function adds {idle:.1f} ms to the insert.\n")
    if set(table) != set(CONTENDERS) or floor is None:
        return
    plain, bundle, naive = table["plain"], table["bundle"], table["naive"]
    summary = {
        "floor_us": round(floor.cpu_us, 1),
        "plain_us": round(plain.cpu_us, 1),
        "bundle_us": round(bundle.cpu_us, 1),
        "naive_us": round(naive.cpu_us, 1),
        "plain_over_floor": round(plain.cpu_us / floor.cpu_us, 2),
        "plain_over_naive": round(plain.cpu_us / naive.cpu_us, 3),
        "bundle_over_floor": round(bundle.cpu_us / floor.cpu_us, 2),
        "rows_per_insert": round(plain.rows_per_insert),
        "p99_ms": round(plain.p99_ms, 1),
    }
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
