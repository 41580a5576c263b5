"""The way of a message: from a topic to its subscriptions, to a receiver, back after a failure, or out.

One lock guards everything: the work under it is microseconds a message, and a dead letter goes from one
subscription to others without any order of locks to get wrong. Whoever waits for messages waits on the
subscription's own condition, which shares that lock.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from local.standin.backlog import Delivery
from local.standin.message import Content, Message, dead_letter
from local.standin.refused import Refused, invalid, not_found
from local.standin.registry import Registry, Subscription, Topic


class Broker:
    """Moves messages, for any number of threads. `clock` counts seconds. Methods raise Refused."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._message_ids = itertools.count(1)

    def publish(self, topic: str, contents: Sequence[Content]) -> list[str]:
        """Give each subscription of the topic a copy of the messages and return their ids."""
        with self._registry.lock:
            return self._publish(self._registry.held_topic(topic), contents)

    def take(
        self, subscription: Subscription, limit: int, wait_s: float, cancelled: Callable[[], bool]
    ) -> list[Delivery]:
        """Lease up to `limit` messages; wait for the first at most `wait_s` seconds, or until `cancelled`."""
        with self._registry.lock:
            until = self._clock() + wait_s
            while True:
                if subscription.deleted:
                    raise not_found(subscription.name)
                now = self._clock()
                self._expire(subscription, now)
                taken = _lease(subscription, limit, now)
                if taken or now >= until or cancelled():
                    return taken
                change = subscription.backlog.next_change()
                wake = until if change is None else min(until, change)
                subscription.changed.wait(min(wake - now, threading.TIMEOUT_MAX))

    def wake(self, subscription: Subscription) -> None:
        """Make those who wait in `take` look again at whether they were cancelled."""
        with self._registry.lock:
            subscription.changed.notify_all()

    def acknowledge(self, subscription: Subscription, ack_ids: Sequence[str]) -> None:
        """Forget delivered messages; a lease that has ended is passed over, its message comes again."""
        _check_ack_ids(subscription, ack_ids)
        with self._registry.lock:
            for ack_id in ack_ids:
                subscription.backlog.release(ack_id)

    def modify_ack_deadline(self, subscription: Subscription, ack_ids: Sequence[str], seconds: int) -> None:
        """Give leases `seconds` from now; 0 is a negative acknowledgement."""
        _check_ack_ids(subscription, ack_ids)
        with self._registry.lock:
            now = self._clock()
            for ack_id in ack_ids:
                subscription.backlog.extend(ack_id, now + seconds)
            self._expire(subscription, now)
            subscription.changed.notify_all()

    def _publish(self, topic: Topic, contents: Sequence[Content]) -> list[str]:
        published = datetime.now(UTC)
        messages = [Message(content, str(next(self._message_ids)), published) for content in contents]
        now = self._clock()
        for subscription in topic.subscriptions:
            for message in messages:
                subscription.backlog.add(message, now)
            subscription.changed.notify_all()
        return [message.message_id for message in messages]

    def _expire(self, subscription: Subscription, now: float) -> None:
        for failed in subscription.backlog.expire(now):
            if not self._dead_lettered(subscription, failed):
                delay_s = subscription.settings.backoff.delay_s(failed.attempt)
                subscription.backlog.retry(failed, now + delay_s)

    def _dead_lettered(self, subscription: Subscription, failed: Delivery) -> bool:
        settings = subscription.settings
        if not settings.dead_letter_topic or failed.attempt < settings.max_delivery_attempts:
            return False
        try:
            topic = self._registry.held_topic(settings.dead_letter_topic)
        except Refused:  # deleted since: the message stays where it is and is tried again
            return False
        self._publish(topic, [dead_letter(failed.message, subscription.name, failed.attempt)])
        return True


def _lease(subscription: Subscription, limit: int, now: float) -> list[Delivery]:
    taken: list[Delivery] = []
    while len(taken) < limit:
        delivery = subscription.backlog.take(now, subscription.settings.ack_deadline_s)
        if delivery is None:
            break
        taken.append(delivery)
    return taken


def _check_ack_ids(subscription: Subscription, ack_ids: Sequence[str]) -> None:
    if not ack_ids:
        raise invalid("No ack ids specified.")
    for ack_id in ack_ids:
        if ack_id.rpartition(":")[0] != subscription.name:
            raise invalid(f"Invalid ack id (ack_id={ack_id})")
