"""One subscription's messages: waiting for their time, or leased to a receiver until a deadline.

A pure state: it takes the time (seconds of a monotonic clock) as an argument, has no thread, never waits.
"""

import heapq
import itertools
from dataclasses import dataclass

from local.standin.message import Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a receiver holds; `attempt` counts its deliveries from 1."""

    ack_id: str
    message: Message
    attempt: int


class Backlog:
    """Messages go from waiting to leased (`take`) and out (`release`), or back to waiting (`retry`).

    `name` begins every ack id, which tells the ids of this subscription from those of others.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count(1)
        # (when it is due, arrival, message, deliveries so far): the arrival breaks ties, oldest first.
        self._waiting: list[tuple[float, int, Message, int]] = []
        self._leases: dict[str, tuple[float, Delivery]] = {}
        # (deadline, ack id): entries go stale when a lease ends or moves; skipped once first.
        self._deadlines: list[tuple[float, str]] = []

    def add(self, message: Message, now: float) -> None:
        """Take in a new message, due at once."""
        heapq.heappush(self._waiting, (now, next(self._numbers), message, 0))

    def retry(self, delivery: Delivery, due: float) -> None:
        """Take back a message whose delivery failed, due again at `due`."""
        heapq.heappush(self._waiting, (due, next(self._numbers), delivery.message, delivery.attempt))

    def take(self, now: float, lease_s: float) -> Delivery | None:
        """Lease the message that is due longest for `lease_s` seconds, or return None if none is due."""
        if not self._waiting or self._waiting[0][0] > now:
            return None
        _, _, message, deliveries = heapq.heappop(self._waiting)
        delivery = Delivery(f"{self._name}:{next(self._numbers)}", message, deliveries + 1)
        self._lease(delivery, now + lease_s)
        return delivery

    def extend(self, ack_id: str, deadline: float) -> None:
        """Move a lease's end to `deadline`; one that has ended already stays ended."""
        lease = self._leases.get(ack_id)
        if lease is not None:
            self._lease(lease[1], deadline)

    def release(self, ack_id: str) -> Delivery | None:
        """End a lease and return what it held, or None if it has ended already."""
        lease = self._leases.pop(ack_id, None)
        return None if lease is None else lease[1]

    def expire(self, now: float) -> list[Delivery]:
        """End the leases whose deadline has passed and return what they held."""
        expired = []
        while (deadline := self._next_deadline()) is not None and deadline <= now:
            _, ack_id = heapq.heappop(self._deadlines)
            expired.append(self._leases.pop(ack_id)[1])
        return expired

    def next_change(self) -> float | None:
        """Return when a message falls due or a lease ends, whichever is first; None if there is neither."""
        times = [time for time in (self._next_deadline(), self._next_due()) if time is not None]
        return min(times, default=None)

    def _lease(self, delivery: Delivery, deadline: float) -> None:
        self._leases[delivery.ack_id] = (deadline, delivery)
        heapq.heappush(self._deadlines, (deadline, delivery.ack_id))

    def _next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def _next_deadline(self) -> float | None:
        while self._deadlines:
            deadline, ack_id = self._deadlines[0]
            lease = self._leases.get(ack_id)
            if lease is not None and lease[0] == deadline:
                return deadline
            heapq.heappop(self._deadlines)
        return None
