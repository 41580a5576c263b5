"""`make fuzz`: any bytes in every framing, in a process of its own with a memory limit, compared with `avro`.

The same first seed makes the same values. Its last line is one JSON object; the exit status is 1 where
something died, raised what is no dead letter, or disagrees with avro otherwise than compare.py lists.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_SHOWN = 20


def main() -> int:
    """Run the workers, one after the other, until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.minutes * 60
    seed, executions, crashes, slowest, peak = arguments.seed, 0, 0, (0.0, 0), 0.0
    found: list[str] = []
    disagreements = 0
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "seed"
        progress.write_bytes(bytes(8))
        while (left := end - time.monotonic()) > 0:
            command = [
                sys.executable,
                "-m",
                "tests.fuzz.worker",
                str(seed),
                str(min(left, 60)),
                str(progress),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            (last,) = struct.unpack("<q", progress.read_bytes())
            seed = last + 1
            if done.returncode != 0:
                crashes += 1
                found.append(f"seed {last}: the process ended with {done.returncode}: {done.stderr[-500:]}")
                continue
            summary = json.loads(done.stdout)
            executions += summary["executions"]
            crashes += len(summary["errors"])
            disagreements += len(summary["disagreements"])
            found += summary["errors"] + summary["disagreements"]
            slowest = max(slowest, (summary["slowest_ms"], summary["slowest_seed"]))
            peak = max(peak, summary["peak_mb"])
    print("\n".join(found[:MOST_SHOWN]))
    print(f"seeds {arguments.seed} to {seed - 1}; the slowest was of seed {slowest[1]}")
    result = {
        "executions": executions,
        "crashes": crashes,
        "slowest_ms": slowest[0],
        "peak_mb": peak,
        "disagreements": disagreements,
    }
    print(json.dumps(result), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
