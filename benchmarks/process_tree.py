"""Memory and CPU of a process and all its descendants, from Linux's /proc."""

import os
from collections import defaultdict
from pathlib import Path

import msgspec

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(msgspec.Struct, frozen=True):
    """A process: its command line, bytes of memory, shared pages in proportion (PSS), and seconds of CPU.

    The CPU of ended children that it has waited for is in its own.
    """

    command: list[str]
    pss: int
    cpu_s: float


class Tree(msgspec.Struct, frozen=True):
    """The processes that run."""

    processes: list[Process]

    @property
    def pss(self) -> int:
        """Bytes of all of them."""
        return sum(process.pss for process in self.processes)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all of them."""
        return sum(process.cpu_s for process in self.processes)


def read_tree(root: int) -> Tree:
    """Return the process `root` and its descendants; one that ends meanwhile is left out."""
    stats = dict(filter(None, (_stat(int(path.name)) for path in PROC.iterdir() if path.name.isdigit())))
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, (parent, _) in stats.items():
        children[parent].append(pid)
    processes, waiting = [], [root] if root in stats else []
    while waiting:
        pid = waiting.pop()
        waiting += children[pid]
        try:
            command = (PROC / str(pid) / "cmdline").read_text().split("\0")[:-1]
            processes.append(Process(command, _pss(pid), stats[pid][1] / TICKS_PER_S))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Tree(processes)


def _stat(pid: int) -> tuple[int, tuple[int, int]] | None:
    """Return the pid with its parent and ticks of CPU, None where it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    after_name = text.rpartition(")")[2].split()
    return pid, (int(after_name[1]), sum(map(int, after_name[11:15])))


def _pss(pid: int) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
