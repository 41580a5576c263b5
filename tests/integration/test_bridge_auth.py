"""Real bridge processes that authenticate to Apache Kafka, and what they say where it refuses them."""

import itertools
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from local.processes import Process
from local.real_kafka import RealCluster, fetch_jars
from tests.integration.certificates import Authority
from tests.integration.fake_google import FakeGoogle
from tests.integration.waiting import eventually
from tests.integration.worlds import SHORT_SESSION, Pubsub, World, lines, says, terminate

pytestmark = pytest.mark.needs("java", "javac", "maven")

PASSWORD = "hunter2-do-not-print"
WRONG = "hunter3-do-not-print"
SECRETS = (PASSWORD, WRONG, "PRIVATE KEY", "do-not-print")
# The client asks for the next token at four fifths, and shows it on its connections at nine tenths.
TOKEN_S = 20
LOGIN = "org.apache.kafka.common.security"
TOKEN_INFO = Path(__file__).with_name("TokenInfo.java")
LISTENERS = {"PLAIN": "SASL_PLAINTEXT", "SCRAM": "SASL_SSL", "MTLS": "SSL", "OAUTH": "SASL_PLAINTEXT"}

Start = Callable[..., tuple[World, Process]]


@pytest.fixture(scope="module")
def google() -> Iterator[FakeGoogle]:
    """Give a Google whose tokens end soon."""
    with FakeGoogle(TOKEN_S) as made:
        yield made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give the authority of the broker's and the client's certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, google: FakeGoogle
) -> Iterator[RealCluster]:
    """Give a broker with a listener for each way to authenticate."""
    folder = tmp_path_factory.mktemp("kafka")
    classes = folder / "classes"
    javac = ["javac", "-cp", f"{fetch_jars()}/*", "-d", str(classes), str(TOKEN_INFO)]
    subprocess.run(javac, check=True, timeout=60)
    settings = {
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": (
            f'{LOGIN}.plain.PlainLoginModule required user_bridge="{PASSWORD}";'
        ),
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            f"{LOGIN}.oauthbearer.OAuthBearerLoginModule required "
            f'endpoint="http://{google.address}/tokeninfo" '
            'unsecuredLoginStringClaim_sub="broker";'  # it begins by logging in to itself
        ),
        "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": "TokenInfo",
        # The broker ends a connection whose token has ended.
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "60000",
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.issue("broker")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
    }
    made = RealCluster(
        folder / "broker",
        listeners=LISTENERS,
        scram_users={"bridge": PASSWORD},
        settings=settings,
        classpath=[classes],
    )
    try:
        yield made
    finally:
        made.stop()


_numbers = itertools.count()


@pytest.fixture
def start(cluster: RealCluster, shared_pubsub: Pubsub, tmp_path: Path) -> Iterator[Start]:
    """Give what starts a bridge on a topic of its own, with a listener and properties."""
    worlds: list[World] = []

    def started(
        listener: str, properties: Mapping[str, str], env: Mapping[str, str] = {}
    ) -> tuple[World, Process]:
        name = f"auth-{next(_numbers)}"
        cluster.create_topic(name)
        written = [f"{key}={value}" for key, value in properties.items()]
        folder = tmp_path / name
        folder.mkdir()
        world = World(cluster, shared_pubsub, folder, name, [*SHORT_SESSION, *written])
        worlds.append(world)
        bridge = world.start(**{"KAFKA_BOOTSTRAP_SERVERS": cluster.addresses[listener], **env})
        return world, bridge

    try:
        yield started
    finally:
        for world in worlds:
            world.end()
        for world in worlds:
            for bridge in world.bridges:
                text = bridge.log.read_text()
                assert not [secret for secret in SECRETS if secret in text], text


def plain(password: str = PASSWORD) -> dict[str, str]:
    """Return the properties of SASL/PLAIN."""
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "bridge",
        "sasl.password": password,
    }


def scram(authority: Authority, password: str = PASSWORD) -> dict[str, str]:
    """Return the properties of SASL/SCRAM over TLS."""
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority.file),
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "bridge",
        "sasl.password": password,
    }


def mtls(authority: Authority, certificate: Path | None) -> dict[str, str]:
    """Return the properties of TLS with a certificate of the client, or without."""
    properties = {"security.protocol": "SSL", "ssl.ca.location": str(authority.file)}
    if certificate is not None:
        file = str(certificate)
        properties |= {"ssl.certificate.location": file, "ssl.key.location": file}
    return properties


def assert_forwards(world: World, bridge: Process) -> None:
    """Assert that a record arrives, and is committed when the bridge ends."""
    world.produce([b"authenticated"], partition=0)
    eventually(lambda: world.tap.values() == {b"authenticated"})
    assert terminate(bridge)[0] == 0
    assert world.committed()[0] == 1


def assert_refused(bridge: Process, reason: str) -> None:
    """Assert that the bridge ends with 1 and says once more, in its last words, who refused it and why."""
    assert bridge.wait(60) == 1
    stopped = [str(line["message"]) for line in lines(bridge) if line["severity"] == "CRITICAL"]
    assert len(stopped) == 1
    assert stopped[0].startswith("stopped: the brokers refuse the bridge, see KAFKA_PROPERTIES_FILE: ")
    assert reason in stopped[0]
    assert says(bridge, "the brokers refuse the bridge") == 2, "it says so at once, and at the end"
    assert len(lines(bridge)) == len(bridge.log.read_text().splitlines())


def test_sasl_plain(start: Start) -> None:
    """A user name and a password in the properties file open a SASL/PLAIN listener."""
    assert_forwards(*start("PLAIN", plain()))


def test_sasl_scram_over_tls(start: Start, authority: Authority) -> None:
    """They open a SCRAM listener whose certificate is checked with the authority's."""
    assert_forwards(*start("SCRAM", scram(authority)))


def test_mutual_tls(start: Start, authority: Authority) -> None:
    """The client's certificate and key, read from a file, open a listener that requires them."""
    assert_forwards(*start("MTLS", mtls(authority, authority.issue("client"))))


def test_refusal_is_named(start: Start, authority: Authority) -> None:
    """A refused password or certificate ends the start with 1 and a line that says so, without the secret."""
    started = [
        start("PLAIN", plain(WRONG))[1],
        start("SCRAM", scram(authority, WRONG))[1],
        start("MTLS", mtls(authority, None))[1],
        start("SCRAM", scram(Authority(authority.file.parent / "other", "other")))[1],
    ]
    reasons = [
        "Authentication failed: Invalid username or password",
        "invalid credentials with SASL mechanism SCRAM-SHA-512",
        "certificate",
        "certificate verify failed",
    ]
    for bridge, reason in zip(started, reasons, strict=True):
        assert_refused(bridge, reason)


def test_google_token_is_refreshed_before_it_ends(start: Start, google: FakeGoogle) -> None:
    """Tokens of Application Default Credentials open the listener, and the next ones keep it open."""
    properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "OAUTHBEARER"}
    world, bridge = start("OAUTH", properties, google.environment)
    sent: set[bytes | None] = set()

    def forwarded_with(tokens: int) -> bool:
        value = b"%d" % len(sent)
        world.produce([value])
        sent.add(value)
        eventually(lambda: world.tap.values() >= sent)
        return len({*google.asked_about}) >= tokens

    eventually(lambda: forwarded_with(3), 5 * TOKEN_S)
    assert {*google.asked_about} <= {*google.issued}
    # The broker would have ended a connection whose token had ended.
    assert not [line for line in lines(bridge) if line["severity"] != "INFO"]
    assert terminate(bridge)[0] == 0
    assert sum(world.committed().values()) == len(sent)
