"""Which topics and subscriptions there are.

One lock guards them and all messages in them (see broker.py). The methods here take it themselves.
"""

import threading
from dataclasses import dataclass, field

from google.pubsub_v1.types import pubsub

from local.standin.backlog import Backlog
from local.standin.limits import check_name
from local.standin.refused import already_exists, not_found
from local.standin.settings import Settings, read_settings

DELETED_TOPIC = "_deleted-topic_"


@dataclass(eq=False)
class Subscription:
    """A subscription as its creator described it, its messages, and the condition that tells of new ones."""

    resource: pubsub.Subscription
    settings: Settings
    backlog: Backlog
    changed: threading.Condition
    deleted: bool = False

    @property
    def name(self) -> str:
        """The full name, "projects/…/subscriptions/…"."""
        return self.resource.name


@dataclass(eq=False)
class Topic:
    """A topic and the subscriptions that get a copy of each message."""

    resource: pubsub.Topic
    subscriptions: list[Subscription] = field(default_factory=list)


class Registry:
    """The topics and subscriptions by name; `lock` is for whoever works on what they hold."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def create_topic(self, resource: pubsub.Topic) -> None:
        """Add a topic."""
        check_name(resource.name, "topics")
        with self.lock:
            if resource.name in self._topics:
                raise already_exists(resource.name)
            self._topics[resource.name] = Topic(resource)

    def create_subscription(self, resource: pubsub.Subscription) -> Subscription:
        """Add a subscription: it gets what is published from now on."""
        check_name(resource.name, "subscriptions")
        settings = read_settings(resource)
        resource.ack_deadline_seconds = settings.ack_deadline_s
        with self.lock:
            if resource.name in self._subscriptions:
                raise already_exists(resource.name)
            topic = self.held_topic(resource.topic)
            if settings.dead_letter_topic:
                self.held_topic(settings.dead_letter_topic)
            changed = threading.Condition(self.lock)
            subscription = Subscription(resource, settings, Backlog(resource.name), changed)
            self._subscriptions[resource.name] = subscription
            topic.subscriptions.append(subscription)
            return subscription

    def delete_topic(self, name: str) -> None:
        """Remove a topic; its subscriptions stay, with what they hold, and get nothing more."""
        with self.lock:
            topic = self.held_topic(name)
            del self._topics[name]
            for subscription in topic.subscriptions:
                subscription.resource.topic = DELETED_TOPIC

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription with its messages, and wake those who wait for them."""
        with self.lock:
            subscription = self._subscriptions.pop(name, None)
            if subscription is None:
                raise not_found(name)
            topic = self._topics.get(subscription.resource.topic)
            if topic is not None:
                topic.subscriptions.remove(subscription)
            subscription.deleted = True
            subscription.changed.notify_all()

    def topic(self, name: str) -> Topic:
        """Return a topic, or raise Refused (NOT_FOUND)."""
        with self.lock:
            return self.held_topic(name)

    def held_topic(self, name: str) -> Topic:
        """Return a topic, or raise Refused (NOT_FOUND), for callers that hold the lock."""
        topic = self._topics.get(name)
        if topic is None:
            raise not_found(name)
        return topic

    def subscription(self, name: str) -> Subscription:
        """Return a subscription, or raise Refused (NOT_FOUND)."""
        with self.lock:
            subscription = self._subscriptions.get(name)
            if subscription is None:
                raise not_found(name)
            return subscription

    def topics(self, project: str) -> list[pubsub.Topic]:
        """Return the topics of `project` ("projects/…")."""
        with self.lock:
            return [t.resource for name, t in self._topics.items() if name.startswith(f"{project}/")]

    def subscriptions(self, project: str) -> list[pubsub.Subscription]:
        """Return the subscriptions of `project` ("projects/…")."""
        with self.lock:
            return [s.resource for name, s in self._subscriptions.items() if name.startswith(f"{project}/")]
