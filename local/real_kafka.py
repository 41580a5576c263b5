"""Kafka on this machine: Apache Kafka itself in KRaft mode, each broker a process."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic  # type: ignore[attr-defined]

from decoder.streams import ROOT
from local.processes import Process, StartError, accepts, free_port

VERSION = "4.3.1"
JARS = ROOT / ".local" / f"kafka-{VERSION}"
POM = Path(__file__).with_name("real_kafka.xml")
MAX_MESSAGE_BYTES = 20_000_000

NO_JAVA = "Apache Kafka needs Java 17 or newer: install it (Debian: openjdk-17-jre-headless)"
NO_MAVEN = f"Apache Kafka {VERSION} is fetched with Maven: install it (Debian: maven)"

# Started quickly and small: a test's broker does not live long enough for the better compiler to pay.
JVM = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]

# What differs from Kafka's defaults, so that tests see in seconds what takes production minutes.
SETTINGS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MAX_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "500",
    # A broker that was killed may register again only when its session is over.
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "500",
    # It is allocated at the start, 128 MB where nothing is said.
    "log.cleaner.dedupe.buffer.size": "8000000",
}


class RealCluster:
    """Apache Kafka in KRaft mode on 127.0.0.1, in `folder`; ready when made, until `stop`.

    Every broker is a controller too, so that three go on when any one is killed or does not answer.

    Attributes:
        bootstrap_servers: The addresses of the PLAINTEXT listener.
        addresses: The addresses of each listener by its name, comma-separated host:port.
        producer: A producer to it.
        brokers: A process each, to send signals to; the one at i has the node id i.
        max_unread_bytes: None, it keeps all.
    """

    max_unread_bytes = None

    def __init__(
        self,
        folder: Path,
        topics: Sequence[str] = (),
        *,
        port: int | None = None,
        brokers: int = 1,
        partitions: int = 4,
        settings: Mapping[str, str] = {},
        listeners: Mapping[str, str] = {},
        scram_users: Mapping[str, str] = {},
        jvm: Sequence[str] = (),
        classpath: Sequence[Path] = (),
    ) -> None:
        """Start it.

        Args:
            folder: Its own, for logs, and for data until `stop`.
            topics: To create.
            port: Of the first broker's PLAINTEXT listener; None takes a free one.
            brokers: How many.
            partitions: Of each of the topics.
            settings: More of server.properties; these win.
            listeners: More of them, security protocol by name: {"SECURE": "SASL_SSL"}.
            scram_users: Passwords by user name, for SCRAM-SHA-256 and SCRAM-SHA-512.
            jvm: More options of the brokers' JVMs.
            classpath: More jars and folders of classes.

        Raises:
            StartError: Java or Maven is missing, or it did not start.
        """
        classes = [*map(str, classpath), f"{fetch_jars()}/*"]
        self._folder = folder.resolve()
        self._java = ["java", *JVM, *LOGGING, *jvm, "-cp", ":".join(classes)]
        self._replicas = min(3, brokers)
        protocols = {"PLAINTEXT": "PLAINTEXT", **listeners}
        self._ports = [{name: free_port() for name in ("CONTROLLER", *protocols)} for _ in range(brokers)]
        if port is not None:
            self._ports[0]["PLAINTEXT"] = port
        self.addresses = {
            name: ",".join(f"127.0.0.1:{ports[name]}" for ports in self._ports) for name in protocols
        }
        self.bootstrap_servers = self.addresses["PLAINTEXT"]
        self.brokers: list[Process] = []
        shared = {**self._shared_settings(protocols), **settings}
        for index in range(brokers):
            self._write_settings(index, shared)
        try:
            self._format(scram_users)
            self.brokers.extend(self._start(index) for index in range(brokers))
            for index in range(brokers):
                self._await(index, lambda seen: len(seen.brokers) == brokers)
            client: dict[str, str | int | float | bool] = {
                "bootstrap.servers": self.bootstrap_servers,
                # What goes wrong is returned and raised; its log tells of every broker that a test ends.
                "log_level": 0,
            }
            self._admin = AdminClient(client)
            self.producer = Producer(
                {
                    **client,
                    "enable.idempotence": True,
                    "message.max.bytes": MAX_MESSAGE_BYTES,
                    "linger.ms": 5,
                    # A broker that was sent SIGSTOP is given up after these, not after a minute.
                    "socket.timeout.ms": 5_000,
                    "request.timeout.ms": 5_000,
                }
            )
            for topic in topics:
                self.create_topic(topic, partitions=partitions)
        except BaseException:
            self.stop()
            raise

    def create_topic(self, name: str, *, partitions: int = 4, config: Mapping[str, str] = {}) -> None:
        """Create a topic, on up to three brokers, and return when every live broker knows its leaders."""
        config = {"min.insync.replicas": str(self._min_insync), **config}
        topic = NewTopic(name, partitions, self._replicas, config=config)
        self._admin.create_topics([topic])[name].result(60)
        for index in self._admin.list_topics(timeout=30).brokers:
            self._await(index, lambda seen: _has_leaders(seen, name, partitions))

    def restart(self, index: int) -> None:
        """Start a broker again that has ended, and return when it is back and in sync."""
        self.brokers[index].wait(30)
        self.brokers[index] = self._start(index)
        self._await(index, lambda seen: _in_sync(seen, index))

    def stop(self) -> None:
        """End all its processes, also those that were sent SIGSTOP, and remove the data."""
        for broker in self.brokers:
            broker.send(signal.SIGKILL)
        for broker in self.brokers:
            broker.stop()
        for index in range(len(self._ports)):
            shutil.rmtree(self._data(index), ignore_errors=True)

    @property
    def _min_insync(self) -> int:
        return max(1, self._replicas - 1)

    def _data(self, index: int) -> Path:
        return self._folder / f"data-{index}"

    def _properties(self, index: int) -> Path:
        return self._folder / f"broker-{index}.properties"

    def _shared_settings(self, protocols: Mapping[str, str]) -> dict[str, str]:
        internal = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        voters = (f"{index}@127.0.0.1:{ports['CONTROLLER']}" for index, ports in enumerate(self._ports))
        by_name = {"CONTROLLER": "PLAINTEXT", **protocols}
        return {
            **SETTINGS,
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in by_name.items()
            ),
            **{f"{topic}.replication.factor": str(self._replicas) for topic in internal},
            **{f"{topic}.min.isr": str(self._min_insync) for topic in internal[1:]},
            "min.insync.replicas": str(self._min_insync),
        }

    def _write_settings(self, index: int, shared: Mapping[str, str]) -> None:
        own = {
            "node.id": str(index),
            "log.dirs": str(self._data(index)),
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in self._ports[index].items()),
        }
        lines = (f"{name}={value}\n".replace("\\", "\\\\") for name, value in {**own, **shared}.items())
        self._folder.mkdir(parents=True, exist_ok=True)
        self._properties(index).write_text("".join(lines))

    def _format(self, scram_users: Mapping[str, str]) -> None:
        # It may not begin with a dash, which a random one does at times.
        cluster_id = "k" + secrets.token_urlsafe(16)[1:]
        users = [
            f"--add-scram={mechanism}=[name={user},password={password}]"
            for user, password in scram_users.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        command = [
            *(*self._java, "kafka.tools.StorageTool", "format"),
            *("--cluster-id", cluster_id, "--config", str(self._properties(0)), *users),
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if "UnsupportedClassVersionError" in run.stderr:
            raise StartError(NO_JAVA)
        if run.returncode != 0:
            raise StartError(f"Kafka's storage could not be formatted: {run.stdout}{run.stderr}")
        # The others differ by the node id alone: two starts of a JVM less.
        for index in range(1, len(self._ports)):
            self._data(index).mkdir()
            shutil.copy(self._data(0) / "bootstrap.checkpoint", self._data(index))
            (self._data(index) / "meta.properties").write_text(
                f"version=1\ncluster.id={cluster_id}\nnode.id={index}\n"
            )

    def _start(self, index: int) -> Process:
        command = [*self._java, "kafka.Kafka", str(self._properties(index))]
        return Process(f"kafka-{index}", command, self._folder / f"broker-{index}.log", cwd=self._folder)

    def _await(self, index: int, is_ready: Callable[[ClusterMetadata], bool]) -> None:
        """Return when the broker's own view of the cluster is as it should be."""
        port = self._ports[index]["PLAINTEXT"]

        def looks_ready() -> bool:
            if not accepts(port):
                return False
            # A new client each time: one that knows the other brokers might ask those.
            asking = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
            with contextlib.suppress(KafkaException):
                return is_ready(asking.list_topics(timeout=5))
            return False

        self.brokers[index].await_ready(looks_ready)


def _has_leaders(seen: ClusterMetadata, topic: str, partitions: int) -> bool:
    known = seen.topics[topic].partitions if topic in seen.topics else {}
    return len(known) == partitions and all(part.leader in seen.brokers for part in known.values())


def _in_sync(seen: ClusterMetadata, broker: int) -> bool:
    partitions = [part for topic in seen.topics.values() for part in topic.partitions.values()]
    return broker in seen.brokers and all(
        broker in part.isrs for part in partitions if broker in part.replicas
    )


def fetch_jars() -> Path:
    """Return the folder of Kafka's jars, fetched once.

    Raises:
        StartError: Java or Maven is missing, or Maven does not get them.
    """
    if shutil.which("java") is None:
        raise StartError(NO_JAVA)
    if JARS.exists():
        return JARS
    if shutil.which("mvn") is None:
        raise StartError(NO_MAVEN)
    JARS.parent.mkdir(exist_ok=True)
    with _locked(JARS.with_name(f"{JARS.name}.lock")):
        if not JARS.exists():
            _fetch()
    return JARS


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process whatever happens to it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch() -> None:
    with tempfile.TemporaryDirectory(dir=JARS.parent, ignore_cleanup_errors=True) as folder:
        fetched = Path(folder) / "jars"
        goal = ["dependency:copy-dependencies", f"-Dkafka.version={VERSION}", f"-DoutputDirectory={fetched}"]
        run = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MAVEN_OPTS": f"-Xmx256m {os.environ.get('MAVEN_OPTS', '')}"},
        )
        if run.returncode != 0:
            raise StartError(f"Maven did not get Apache Kafka {VERSION}: {run.stdout}{run.stderr}")
        # Only what is complete has the name.
        fetched.rename(JARS)
