"""`python -m tests.faults`: every fault, and what was lost; exits with 1 unless each plan's promises held."""

import argparse
import json
import sys
import tempfile
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec

from tests.faults.arena import Outcome
from tests.faults.plans import PLANS
from tests.faults.run import Clusters, broken_promises, inject


def main() -> int:
    """Inject the faults, two at a time: they wait more than they work."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names_of_all = ", ".join(PLANS).replace("%", "%%")
    parser.add_argument("names", nargs="*", metavar="FAULT", help=f"one of {names_of_all} (default: all)")
    parser.add_argument(
        "--times",
        type=int,
        help="how often each (default: as in docs/reliability.md); of an outage the seconds, of transactions "
        "the records",
    )
    parser.add_argument("--short", action="store_true", help="as often as the tests do")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="for the same random moments")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - PLANS.keys()
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    names = arguments.names or list(PLANS)
    print(f"seed {arguments.seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    clusters = Clusters(folder)
    outcomes: dict[str, Outcome] = {}
    failed = False
    try:
        with ThreadPoolExecutor(2) as pool:
            waiting: dict[Future[Outcome], str] = {}
            for name in names:
                plan = PLANS[name]
                times = arguments.times or (plan.short if arguments.short else plan.times)
                waiting[pool.submit(inject, name, plan, times, clusters, folder, seed=arguments.seed)] = name
            for done in as_completed(waiting):
                name = waiting[done]
                try:
                    outcomes[name] = done.result()
                    print(f"{name}: {outcomes[name]}", file=sys.stderr, flush=True)
                    for promise in broken_promises(PLANS[name], outcomes[name]):
                        failed = True
                        print(f"{name} failed: {promise}", file=sys.stderr, flush=True)
                except Exception:  # noqa: BLE001 - the outermost edge: the other faults go on
                    failed = True
                    print(f"{name} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    finally:
        clusters.stop()
    print("| fault | injected | lost | duplicates | worst recovery, s |")
    print("|---|---|---|---|---|")
    rows = [outcomes[name] for name in names if name in outcomes]
    for row in rows:
        print(f"| {row.name} | {row.injected:,} | {row.lost} | {row.duplicates:,} | {row.recovery_s:.1f} |")
    lost = sum(row.lost for row in rows)
    print(json.dumps({"faults": [msgspec.to_builtins(row) for row in rows], "lost": lost}), flush=True)
    if failed:
        print(f"see the bridges' logs in {folder}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
