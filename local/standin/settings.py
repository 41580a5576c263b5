"""What a subscription was asked to do, checked and with the service's defaults filled in."""

from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.pubsub_v1.types import pubsub

from local.standin.refused import Refused, invalid

# https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription
DEFAULT_ACK_DEADLINE_S = 10
MAX_ACK_DEADLINE_S = 600
# https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#RetryPolicy
DEFAULT_MIN_BACKOFF = timedelta(seconds=10)
DEFAULT_MAX_BACKOFF = timedelta(seconds=600)
# https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#DeadLetterPolicy
DEFAULT_DELIVERY_ATTEMPTS = 5
MIN_DELIVERY_ATTEMPTS = 5
MAX_DELIVERY_ATTEMPTS = 100

UNSUPPORTED = ("enable_exactly_once_delivery", "enable_message_ordering", "filter")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a message rests after a failed delivery, in seconds: doubling, between two bounds."""

    minimum_s: float
    maximum_s: float

    def delay_s(self, attempt: int) -> float:
        """Return the pause after the delivery number `attempt`, counted from 1."""
        return min(self.maximum_s, self.minimum_s * 2.0 ** min(attempt - 1, 32))


IMMEDIATELY = Backoff(0.0, 0.0)
PUSH_BACKOFF = Backoff(0.1, 60.0)  # https://cloud.google.com/pubsub/docs/push#push_backoff


@dataclass(frozen=True, slots=True)
class Settings:
    """A subscription's behaviour; `push_endpoint` and `dead_letter_topic` are empty where there is none."""

    ack_deadline_s: int
    push_endpoint: str
    backoff: Backoff
    dead_letter_topic: str
    max_delivery_attempts: int


def read_settings(subscription: pubsub.Subscription) -> Settings:
    """Return the settings, or raise Refused for values out of bounds and for what the stand-in cannot do."""
    for field in UNSUPPORTED:
        if getattr(subscription, field):
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"The stand-in does not support {field}.")
    deadline_s = subscription.ack_deadline_seconds or DEFAULT_ACK_DEADLINE_S
    # The service wants at least 10 s; the emulator and the stand-in take less, so that tests can be quick.
    if not 0 < deadline_s <= MAX_ACK_DEADLINE_S:
        raise invalid(f"ack_deadline_seconds must be within 1 and {MAX_ACK_DEADLINE_S}.")
    topic, attempts = "", 0
    if "dead_letter_policy" in subscription:
        topic = subscription.dead_letter_policy.dead_letter_topic
        attempts = subscription.dead_letter_policy.max_delivery_attempts or DEFAULT_DELIVERY_ATTEMPTS
        if not MIN_DELIVERY_ATTEMPTS <= attempts <= MAX_DELIVERY_ATTEMPTS:
            bounds = f"{MIN_DELIVERY_ATTEMPTS} and {MAX_DELIVERY_ATTEMPTS}"
            raise Refused(grpc.StatusCode.OUT_OF_RANGE, f"max_delivery_attempts must be within {bounds}.")
    endpoint = subscription.push_config.push_endpoint
    return Settings(deadline_s, endpoint, _read_backoff(subscription), topic, attempts)


def _read_backoff(subscription: pubsub.Subscription) -> Backoff:
    if "retry_policy" not in subscription:
        return PUSH_BACKOFF if subscription.push_config.push_endpoint else IMMEDIATELY
    policy = subscription.retry_policy
    minimum: timedelta = DEFAULT_MIN_BACKOFF if policy.minimum_backoff is None else policy.minimum_backoff
    maximum: timedelta = DEFAULT_MAX_BACKOFF if policy.maximum_backoff is None else policy.maximum_backoff
    if not timedelta(0) <= minimum <= maximum <= DEFAULT_MAX_BACKOFF:
        raise invalid("retry_policy needs 0 <= minimum_backoff <= maximum_backoff <= 600 s.")
    return Backoff(minimum.total_seconds(), maximum.total_seconds())
