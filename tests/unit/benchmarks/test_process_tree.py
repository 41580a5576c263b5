"""Memory and CPU of a process tree, as /proc has them."""

import os
import subprocess
import sys

import pytest

from benchmarks.process_tree import Tree, read_tree
from tests.integration.waiting import eventually


def _with_children(pid: int) -> Tree | None:
    tree = read_tree(pid)
    # Between fork and exec the child still has its parent's command line.
    return tree if any(process.command[:1] == ["sleep"] for process in tree.processes) else None


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is in Linux's /proc only")
def test_a_tree_has_the_children_of_children() -> None:
    """A server that a script starts counts, with its memory, and with the name that it was started by."""
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        tree = eventually(lambda: _with_children(child.pid))
        assert tree is not None
        assert [process.command[-2:] for process in tree.processes] == [["-c", code], ["sleep", "60"]]
        assert tree.pss == sum(process.pss for process in tree.processes) > 1_000_000
        assert tree.cpu_s > 0
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert read_tree(child.pid).processes == []
