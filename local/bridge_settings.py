"""Settings of the bridge that `python -m local` passes on; docs/settings.md lists them."""

import argparse

BUNDLE = "BRIDGE_BUNDLE"
# Records of one cycle go in one message. The emulators' cost is by request and hardly by record, and the
# Pub/Sub emulator pushes four messages at a time, so with plain messages they carry some 100 events/s.
DEFAULT_BUNDLE = "200"

OFFERED = (
    "BRIDGE_MAX_BYTES",
    "BRIDGE_MAX_RECORDS",
    "BRIDGE_ON_OUT_OF_RANGE",
    "BRIDGE_ORDERING",
    "BRIDGE_START",
    "KAFKA_GROUP_ID",
    "KAFKA_PROPERTIES_FILE",
)
# What the stack itself decides, and what to do instead.
OWNED = {
    BUNDLE: "use --bundle",
    "ENV": "it is always local",
    "KAFKA_BOOTSTRAP_SERVERS": "use --kafka",
    "KAFKA_TOPICS": "they are those of streams.yaml",
    "PORT": "the stack chooses it",
    "PUBSUB_DEAD_LETTER_TOPIC": "the stack creates it",
    "PUBSUB_EMULATOR_HOST": "use --pubsub",
    "PUBSUB_TOPIC": "the stack creates it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --bundle and --bridge-setting."""
    parser.add_argument(
        "--bundle",
        type=bundle,
        default=DEFAULT_BUNDLE,
        metavar="N",
        help="records that the bridge puts in one Pub/Sub message at most, or auto (default: %(default)s)",
    )
    parser.add_argument(
        "--bridge-setting",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one of the bridge's settings in docs/settings.md, such as BRIDGE_ORDERING=key; repeatable",
    )


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the bridge's environment variables for the parsed arguments."""
    return {BUNDLE: arguments.bundle, **dict(arguments.bridge_setting)}


def setting(text: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE.

    Raises:
        argparse.ArgumentTypeError: the form is another, or the name is not one that can be set.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if name in OWNED:
        raise argparse.ArgumentTypeError(f"{name} cannot be set here: {OWNED[name]}")
    if name not in OFFERED:
        raise argparse.ArgumentTypeError(f"the bridge has no setting {name!r}: use {', '.join(OFFERED)}")
    return name, value


def bundle(text: str) -> str:
    """Return a number of records in one Pub/Sub message, or "auto".

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    if text == "auto" or (text.isascii() and text.isdigit() and int(text) > 0):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of records from 1, or auto")
