"""`python -m tests.preflight unit infra`: what tests need and this machine lacks, in the first second.

Outside CI that is printed, and tests/conftest.py skips the tests that need it; where the variable CI is set,
it is a failure.
"""

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.tools import ROOT, TOOLS, how_to_install, needed_by, problem


def main() -> int:
    """Print what is missing; 1 where that is a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.preflight", description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="of tests/")
    parser.add_argument("--left-out", type=Path, help="sum up what conftest.py wrote to this file instead")
    arguments = parser.parse_args()
    if arguments.left_out:
        print(left_out(arguments.left_out.read_text()), end="")
        return 0
    missing = report([ROOT / "tests" / folder for folder in arguments.folders])
    if not missing:
        return 0
    if os.environ.get("CI"):
        print(f"{missing}CI is set, so this is a failure.", file=sys.stderr)
        return 1
    print(f"{missing}The tests that need them are skipped, all others run. With CI=true this is a failure.\n")
    return 0


def report(folders: list[Path]) -> str:
    """Return what the tests in these folders need and is not here, "" where nothing is missing."""
    needs = {file: needed_by(file) for folder in folders for file in sorted(folder.rglob("test_*.py"))}
    names = [name for name in TOOLS if any(name in tools for tools in needs.values())]
    with ThreadPoolExecutor() as pool:
        problems = dict(zip(names, pool.map(problem, names), strict=True))
    lines = []
    for name, found in problems.items():
        if found:
            files = (str(file.relative_to(ROOT)) for file, tools in needs.items() if name in tools)
            lines += [f"{TOOLS[name].title}: {found}", *(f"    {line}" for line in how_to_install(name))]
            lines += [f"    needed in {', '.join(files)}"]
    return "\n".join(["Missing on this machine:", "", *lines, "", ""]) if lines else ""


def left_out(lines: str) -> str:
    """Return a summary of the tests that were skipped; each line of `lines` has the tools that one lacked."""
    tests = [line.split() for line in lines.splitlines()]
    if not tests:
        return ""
    counts = Counter(name for names in tests for name in names)
    summary = [f"NOT RUN: {len(tests)} tests, as programs that they need are not here:", ""]
    for name, count in counts.most_common():
        summary += [f"{count:5}  {TOOLS[name].title}: {problem(name) or 'it got no Kafka'}"]
        summary += [f"           {line}" for line in how_to_install(name)]
    return "\n".join(["", *summary, ""])


if __name__ == "__main__":
    sys.exit(main())
