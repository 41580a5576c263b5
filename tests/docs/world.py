"""Where the pages' commands run: a copy of the repository, with a pipeline that runs in it."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Consumer, Producer

from decoder.rows import TYPE_HEADER
from decoder.streams import CATALOG
from tests.docs.pages import ROOT
from tests.integration.waiting import eventually

EVENTS = 300
# A topic whose events are mostly schemaless.
TOPIC = "delivery_events_v6_topic"
_LEFT_OUT = shutil.ignore_patterns(".venv*", ".git", ".local", ".*_cache", "__pycache__", ".hypothesis")
_STAMPS = (".venv/run", ".venv/test", ".venv-checkov/ready")


def copy(folder: Path) -> Path:
    """Copy the repository as it lies there, so that nothing that is run changes it; return the copy."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    for environment in (".venv", ".venv-checkov"):
        if (ROOT / environment).exists():
            (folder / environment).symlink_to((ROOT / environment).resolve())
    return folder


class World:
    """A pipeline started as a user would, with rows in every table, and what asks it."""

    def __init__(self, folder: Path) -> None:
        self._base = folder
        self.folder = copy(folder / "repository")
        # The copy's own, as a user calls it; or the one that runs the tests, where it is no other.
        own = self.folder / ".venv" / "bin" / "python"
        self.python = own if own.exists() else Path(sys.executable)
        self._log = (folder / "output").open("w")
        command = ["-m", "local", "--keep", "--events", str(EVENTS), "--pubsub", "embedded"]
        self._process = subprocess.Popen(
            [self.python, *command], cwd=self.folder, stdout=self._log, stderr=self._log
        )
        try:
            self._wait_for_rows(EVENTS)
            self._wait_for_rows(EVENTS + self._produce_bad_records())
        except BaseException:
            self.stop()
            raise

    def _produce_bad_records(self) -> int:
        """Produce a record for each reason that a small record can give; return how many."""
        value, header = self._record()
        bad: list[tuple[bytes | None, list[tuple[str, str | bytes | None]]]] = [
            (None, [(TYPE_HEADER, header)]),
            (value, []),
            (value, [(TYPE_HEADER, "delivery.events.v6.Unheard")]),
            (value[:-3], [(TYPE_HEADER, header)]),
            (value + bytes(3), [(TYPE_HEADER, header)]),
        ]
        producer = Producer({"bootstrap.servers": str(self._state["kafka"]), "log_level": 0})
        for each, headers in bad:
            producer.produce(TOPIC, each, headers=headers)
        assert producer.flush(20) == 0
        return len(bad)

    def stop(self) -> None:
        """End the pipeline, as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        self._log.close()

    def query(self, sql: str) -> list[dict[str, object]]:
        """Return what `python -m local query` answers."""
        printed = self.run([str(self.python), "-m", "local", "query", "--json", sql])
        return [json.loads(line) for line in printed.splitlines()]

    def run(self, command: list[str], folder: Path | None = None) -> str:
        """Run a command against the pipeline; return what it prints, and fail where it fails."""
        done = subprocess.run(
            command,
            cwd=folder or self.folder,
            env={**os.environ, CATALOG: str(self.folder / "tests" / "catalogue"), **self._servers},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, command: list[str], folder: Path) -> str:
        """Run a command that must fail, on the folder's own catalogue; return what it says on stderr."""
        own = {name: value for name, value in os.environ.items() if name != CATALOG}
        done = subprocess.run(
            command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode != 0, done.stdout
        return done.stderr

    def make(self, target: str, arguments: str = "", *options: str, folder: Path | None = None) -> str:
        """Run make, without making an environment."""
        stamps = [word for stamp in _STAMPS for word in ("-o", stamp)]
        return self.run(["make", *options, *stamps, target, f"ARGS={arguments}"], folder)

    @functools.cached_property
    def dead_letter_id(self) -> str:
        """The id of a dead letter, as `python -m operate dead-letters` prints it."""
        options = ["--project", "local", "--dataset", "events"]
        listed = self.run([str(self.python), "-m", "operate", "dead-letters", "list", *options])
        return listed.split("\t")[0]

    @functools.cache  # noqa: B019 - one world a module
    def verdict(self) -> str:
        """Return what a short run with an end prints, in a copy of its own."""
        return self.make(
            "run", "--events 120 --exit --pubsub embedded", folder=copy(self._base / "with an end")
        )

    def value(self, topic: str, item_type_name: str) -> bytes:
        """Return the value of a record of the type, from Kafka."""
        return self._record(topic, item_type_name)[0]

    def event(self, item_type_name: str) -> str:
        """Return the JSON of an event of delivery_changed."""
        name = item_type_name.rpartition(".")[2]
        sql = f"SELECT event_json FROM delivery_changed_unique WHERE event_type = '{name}' LIMIT 1"
        return str(self.query(sql)[0]["event_json"])

    def _record(self, topic: str = TOPIC, item_type_name: str | None = None) -> tuple[bytes, str]:
        """Return a record's value and its type: any of the topic's that is no container, or of a type."""
        consumer = Consumer(
            {
                "bootstrap.servers": str(self._state["kafka"]),
                "group.id": "docs",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        consumer.subscribe([topic])

        def look() -> tuple[bytes, str] | None:
            message = consumer.poll(1)
            headers = dict((message.headers() if message is not None else None) or [])
            value, name = message.value() if message is not None else None, headers.get(TYPE_HEADER)
            if not isinstance(value, bytes) or not isinstance(name, bytes) or value.startswith(b"Obj"):
                return None
            return (value, name.decode()) if item_type_name in {None, name.decode()} else None

        try:
            found = eventually(look, 30)
        finally:
            consumer.close()
        assert found
        return found

    @functools.cached_property
    def _state(self) -> dict[str, object]:
        (file,) = (self.folder / ".local").rglob("state.json")
        state: dict[str, object] = json.loads(file.read_bytes())
        return state

    @property
    def _servers(self) -> dict[str, str]:
        if "_state" not in self.__dict__ and not list((self.folder / ".local").rglob("state.json")):
            return {}
        return {
            "PUBSUB_EMULATOR_HOST": str(self._state["pubsub"]),
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{self._state['bigquery_port']}",
        }

    def _wait_for_rows(self, count: int) -> None:
        """Wait until so many records have arrived, as rows or dead letters."""
        tables = ["dead_letters", "delivery_changed", "shipping_costs", "ims_updates"]
        tables += ["shipping_prices", "physical_stock"]
        counts = " + ".join(f"(SELECT COUNT(*) FROM {table}_unique)" for table in tables)

        def arrived() -> bool:
            assert self._process.poll() is None, (self._base / "output").read_text()
            if not list((self.folder / ".local").rglob("state.json")):
                return False
            return self.query(f"SELECT {counts} AS n")[0]["n"] == count

        eventually(arrived, 120)
