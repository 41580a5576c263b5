"""A function that ends again and again, and addresses that are fixed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from decoder.streams import ROOT
from local import pids
from local.pids import Pid
from local.processes import free_port
from local.supervise import MAX_QUICK
from tests.integration.locally import COMMAND, EMBEDDED, in_a_file
from tests.integration.waiting import eventually

PORTS = ("bigquery", "pubsub", "function", "bridge")


def test_a_function_that_keeps_ending_is_given_up_and_the_rest_stays(tmp_path: Path) -> None:
    """After five quick deaths the log is named and nothing else ends; the run still has its verdict."""
    with in_a_file(tmp_path / "output", "--keep", "--rate", "5", *EMBEDDED) as local:
        local.state()
        killed: set[Pid] = set()

        def kill_each() -> bool:
            process = pids.read(local.run() / "function.pid")
            if process is not None and process not in killed:
                killed.add(process)
                os.kill(process.pid, signal.SIGKILL)
            return "not started again, the rest stays up. See " in local.output()

        eventually(kill_each, 50)
        # The first may have lived for longer.
        assert len(killed) in {MAX_QUICK, MAX_QUICK + 1}
        bridge = pids.read(local.run() / "bridge.pid")
        assert bridge is not None
        assert bridge.is_alive()
        local.say(signal.SIGINT)
        assert local.wait() == 0, local.output()
    assert local.output().count("started again.") >= MAX_QUICK - 1
    assert '"in_flight"' in local.output().splitlines()[-1]


def test_addresses_can_be_fixed_and_operate_works_with_them(tmp_path: Path) -> None:
    """`env` exports the ports that were asked for, `operate` takes them; a second stack cannot have them."""
    ports = {name: free_port() for name in PORTS}
    options = [option for name, port in ports.items() for option in (f"--{name}-port", str(port))]
    with in_a_file(tmp_path / "output", "--keep", *options, *EMBEDDED) as local:
        state = local.state()
        assert (state.bigquery_port, state.function_port) == (ports["bigquery"], ports["function"])
        assert state.bridge_port == ports["bridge"]
        name = local.run().name
        environment = [*COMMAND, "env", "--run", name]
        exported = subprocess.run(environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f"export BIGQUERY_EMULATOR_HOST=http://127.0.0.1:{ports['bigquery']}\n" in exported
        assert f"export PUBSUB_EMULATOR_HOST=127.0.0.1:{ports['pubsub']}\n" in exported
        assert f"export KAFKA_BOOTSTRAP_SERVERS={state.kafka}\n" in exported
        script = f'eval "$({sys.executable} -m local env --run {name})" && {sys.executable} -m operate '
        listing = 'dead-letters list --project "$PROJECT" --dataset "$DATASET"'
        eventually(lambda: _shell(script + listing).stdout, 40)
        second = subprocess.run(
            [*COMMAND, "--exit", *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 1
        port = ports["pubsub"]
        assert f"port {port} of 127.0.0.1 is in use: choose another for --pubsub-port" in second.stderr


def test_the_mock_cluster_has_no_port_to_choose() -> None:
    """--kafka-port without Apache Kafka is refused in a line."""
    command = [*COMMAND, "--kafka-port", "9092", "--exit"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("local: --kafka-port is for --kafka real")


def _shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
