"""Deliver a push subscription's messages over HTTP."""

import contextlib
import threading
from http import HTTPStatus

import requests

from local.standin.backlog import Delivery
from local.standin.broker import Broker
from local.standin.message import push_body
from local.standin.refused import Refused
from local.standin.registry import Subscription

# https://cloud.google.com/pubsub/docs/push#receive_push
SUCCESS = frozenset({102, HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})

# The service starts small and grows with the endpoint's success. A constant is enough for one machine: with
# an endpoint that takes 100 ms, 64 requests at once are 640 pushes a second.
PUSHES_AT_ONCE = 64


class Pusher:
    """Threads that push one subscription's messages until it is deleted.

    One thread at a time waits for the next message; having got it, it lets the next one wait and pushes. So
    a new message wakes one thread, not all of them. The threads are daemons: ending the process must not wait
    for endpoints, and its messages end with it.
    """

    def __init__(self, broker: Broker, subscription: Subscription) -> None:
        self._broker = broker
        self._subscription = subscription
        self._turn = threading.Lock()

    def start(self) -> None:
        """Start pushing; returns at once."""
        for _ in range(PUSHES_AT_ONCE):
            threading.Thread(target=self._run, name=f"push {self._subscription.name}", daemon=True).start()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment is no way to an endpoint on this machine
            # NOT_FOUND: the subscription was deleted.
            with contextlib.suppress(Refused):
                while True:
                    self._settle(self._next(), session)

    def _next(self) -> Delivery:
        with self._turn:
            while True:
                taken = self._broker.take(self._subscription, 1, threading.TIMEOUT_MAX, lambda: False)
                if taken:
                    return taken[0]

    def _settle(self, delivery: Delivery, session: requests.Session) -> None:
        if self._push(delivery, session):
            self._broker.acknowledge(self._subscription, [delivery.ack_id])
        else:
            self._broker.modify_ack_deadline(self._subscription, [delivery.ack_id], 0)

    def _push(self, delivery: Delivery, session: requests.Session) -> bool:
        """Return whether the endpoint took it. An answer after the ack deadline finds the lease ended."""
        settings = self._subscription.settings
        attempt = delivery.attempt if settings.dead_letter_topic else None
        try:
            response = session.post(
                settings.push_endpoint,
                data=push_body(delivery.message, self._subscription.name, attempt),
                headers={"Content-Type": "application/json"},
                timeout=settings.ack_deadline_s,
                allow_redirects=False,
            )
        except requests.RequestException:
            return False
        return response.status_code in SUCCESS
