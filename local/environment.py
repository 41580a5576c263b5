"""`python -m local env`: what other tools need to reach the running pipeline, as lines for a shell."""

import shlex

from decoder.streams import CATALOG
from local import pubsub
from local.state import DATASET, PROJECT, State


def variables(state: State) -> dict[str, str]:
    """Return environment variables: those that clients of Google and Kafka read, and names for commands."""
    path = f"projects/{PROJECT}"
    values = {
        "PUBSUB_EMULATOR_HOST": state.pubsub,
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{state.bigquery_port}",
        "KAFKA_BOOTSTRAP_SERVERS": state.kafka,
        "PROJECT": PROJECT,
        "DATASET": DATASET,
        "TOPIC": f"{path}/topics/{pubsub.TOPIC}",
        "DEAD_LETTER_SUBSCRIPTION": f"{path}/subscriptions/{pubsub.DEAD_LETTERS}",
    }
    return values if state.catalog is None else {**values, CATALOG: state.catalog}


def exports(state: State) -> str:
    """Return a line `export NAME=value` for each variable."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables(state).items())
