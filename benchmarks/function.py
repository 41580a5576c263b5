"""`python -m benchmarks.function`: CPU per event of the function, beside its rivals, in one run.

Each contender is served by functions-framework with one worker, and inserts into a stand-in for BigQuery that
takes 50 ms an insert. This process pushes events of about 170 bytes with four headers, 400 at once. CPU is
user and system time of the worker, as the operating system counts it. All workers stay for the whole run, and
take short turns; a ratio is of the turns of one round, and of all rounds the median counts: a machine that
others use is slower in one second than in the next.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import truediv
from pathlib import Path

import msgspec
import requests
from rich.console import Console
from rich.progress import track

from benchmarks import pushes
from benchmarks.bridge import cpu_s, stopped
from benchmarks.pushes import BUNDLE
from benchmarks.slow_bigquery import INSERT_S
from local.processes import Process, accepts, free_port

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "benchmarks" / "functions"
CONNECTIONS = 400
THREADS = 100  # of the naive function, which waits for BigQuery in one each
IDLE_PUSHES = 5  # in a round, one after the other


class Contender(msgspec.Struct, frozen=True):
    """A function: its source, the form of its pushes, how many a round, and how many at once."""

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
    "floor": Contender("a bare async handler", FUNCTIONS / "floor.py", "plain", 2_000),
    "plain": Contender("this function", ROOT / "main.py", "plain", 2_000),
    # 400 bundles of 200 at once would be more rows than the function lets wait: 64 MB.
    "bundle": Contender(f"this function, bundles of {BUNDLE}", ROOT / "main.py", "bundle", 40, 20),
    "naive": Contender("CloudEvent, `insert_rows_json` an event", FUNCTIONS / "naive.py", "plain", 400),
}


class Turn(msgspec.Struct, frozen=True):
    """One contender over its pushes of a round."""

    cpu_us: float  # an event
    events_per_s: float
    rows_per_insert: float
    times_ms: list[float]  # of each push


class Server(msgspec.Struct, frozen=True):
    """A contender that is served: its worker's process id, and its port."""

    contender: Contender
    worker: int
    port: int


class Bench:
    """The contenders, the stand-in that they insert into, and the requests that they are sent."""

    def __init__(self, bigquery_port: int, servers: dict[str, Server]) -> None:
        self._bigquery_port = bigquery_port
        self.servers = servers
        self._requests = {form: pushes.requests(form) for form in ("plain", "bundle")}

    async def turn(self, name: str) -> Turn:
        """Push all of a round to a contender."""
        server, contender = self.servers[name], self.servers[name].contender
        async with pushes.connected(
            self._requests[contender.form], server.port, contender.connections
        ) as load:
            self._inserted()
            cpu, started = cpu_s(server.worker), time.monotonic()
            times = await load.push(contender.pushes)
            cpu, seconds = cpu_s(server.worker) - cpu, time.monotonic() - started
        inserts, rows = self._inserted()
        if name != "floor" and rows != contender.events:
            raise RuntimeError(f"{contender.name}: {rows} rows of {contender.events} events")
        events = contender.events
        return Turn(cpu / events * 1e6, events / seconds, rows / inserts if inserts else 0.0, times)

    async def idle(self) -> list[float]:
        """Return what the function adds to the insert of one push after the other, in ms."""
        async with pushes.connected(self._requests["plain"], self.servers["plain"].port, 1) as load:
            return [each - INSERT_S * 1_000 for each in await load.push(IDLE_PUSHES)]

    def _inserted(self) -> tuple[int, int]:
        """Return the inserts since the last time, and their rows."""
        answer = requests.get(f"http://127.0.0.1:{self._bigquery_port}/counts", timeout=10).json()
        return answer["inserts"], answer["rows"]


@contextlib.contextmanager
def serving(contender: Contender, bigquery_port: int, folder: Path) -> Iterator[Server]:
    """Give the function, served by one worker."""
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
        yield Server(contender, children(process.pid)[0], port)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Run the comparison, and print it in Markdown and as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.function", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="turns of each contender (default: 30)")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="leave the others out; no JSON")
    arguments = parser.parse_args()
    if arguments.rounds < 2:  # noqa: PLR2004 - a spread needs two
        parser.error("--rounds must be 2 or more")
    names = [name for name in CONTENDERS if name in (arguments.only or CONTENDERS)]
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    idle: list[float] = []
    port = free_port()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-function-")))
        command = [sys.executable, "-m", "benchmarks.slow_bigquery", str(port)]
        bigquery = stack.enter_context(
            stopped(Process("bigquery", command, folder / "bigquery.log", cwd=ROOT))
        )
        bigquery.await_ready(lambda: accepts(port))
        servers = {name: stack.enter_context(serving(CONTENDERS[name], port, folder)) for name in names}
        bench = Bench(port, servers)
        gc.disable()  # a pause of this process would be one of those who wait for it
        for name in names:
            asyncio.run(bench.turn(name))  # imports, credentials and caches: not counted
        for number in track(range(arguments.rounds), "rounds", console=Console(stderr=True)):
            for name in names if number % 2 else reversed(names):  # nobody always comes after the same
                turns[name].append(asyncio.run(bench.turn(name)))
            if "plain" in names:
                idle += asyncio.run(bench.idle())
    report(turns, idle)


def middle(values: Sequence[float], digits: int) -> str:
    """Return the median, and the range of the middle half."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(turns: dict[str, list[Turn]], idle: list[float]) -> None:
    """Print the table, and where all contenders ran the JSON: medians of the rounds."""
    us = {name: [turn.cpu_us for turn in each] for name, each in turns.items()}
    times = {
        name: statistics.quantiles(chain.from_iterable(turn.times_ms for turn in each), n=100)
        for name, each in turns.items()
    }

    def ratios(name: str, other: str) -> list[float]:
        return list(map(truediv, us[name], us[other]))  # round by round

    print(f"Medians of the rounds, and the middle half; an insert takes {INSERT_S * 1_000:.0f} ms:\n")
    print("| | CPU µs an event | to the floor | events/s | p50 ms | p99 ms | rows an insert |")
    print("|---|---|---|---|---|---|---|")
    for name, each in turns.items():
        rows = statistics.median(turn.rows_per_insert for turn in each)
        print(
            f"| {CONTENDERS[name].name} | {middle(us[name], 1)} | "
            f"{middle(ratios(name, 'floor'), 2) if name != 'floor' and 'floor' in us else ''} | "
            f"{statistics.median(turn.events_per_s for turn in each):,.0f} | "
            f"{times[name][49]:.0f} | {times[name][98]:.0f} | {f'{rows:.0f}' if rows else ''} |"
        )
    if idle:
        print(f"\nAn idle function adds {middle(idle, 1)} ms to the insert.")
    if set(turns) != set(CONTENDERS):
        return
    print(f"To the usual function the plain one is {middle(ratios('plain', 'naive'), 3)}.\n")
    summary = {f"{name}_us": round(statistics.median(us[name]), 1) for name in CONTENDERS}
    summary |= {
        "plain_over_floor": round(statistics.median(ratios("plain", "floor")), 2),
        "plain_over_naive": round(statistics.median(ratios("plain", "naive")), 3),
        "bundle_over_floor": round(statistics.median(ratios("bundle", "floor")), 2),
        "rows_per_insert": round(statistics.median(turn.rows_per_insert for turn in turns["plain"])),
        "p99_ms": round(times["plain"][98], 1),
    }
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
