"""Service google.pubsub.v1.Subscriber, without streaming: what a subscriber asks, put to the broker."""

import threading

import grpc
from google.pubsub_v1.types import pubsub

from local.standin.backlog import Delivery
from local.standin.broker import Broker
from local.standin.push import Pusher
from local.standin.refused import Refused, invalid
from local.standin.registry import Registry
from local.standin.rpc import Empty, service, unary
from local.standin.settings import MAX_ACK_DEADLINE_S

# An empty answer goes out this long before the client's deadline, so that it is an answer and no timeout.
PULL_MARGIN_S = 0.5
# https://cloud.google.com/pubsub/quotas#resource_limits
MAX_PULLED_MESSAGES = 1_000


class Subscriber:
    """The service's methods; those not here (StreamingPull, Seek, snapshots) answer UNIMPLEMENTED."""

    def __init__(self, registry: Registry, broker: Broker) -> None:
        self._registry = registry
        self._broker = broker

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        methods = {
            "Acknowledge": unary(self._acknowledge, pubsub.AcknowledgeRequest, Empty),
            "CreateSubscription": unary(self._create, pubsub.Subscription, pubsub.Subscription),
            "DeleteSubscription": unary(self._delete, pubsub.DeleteSubscriptionRequest, Empty),
            "GetSubscription": unary(self._get, pubsub.GetSubscriptionRequest, pubsub.Subscription),
            "ListSubscriptions": unary(
                self._list, pubsub.ListSubscriptionsRequest, pubsub.ListSubscriptionsResponse
            ),
            "ModifyAckDeadline": unary(self._modify_ack_deadline, pubsub.ModifyAckDeadlineRequest, Empty),
            "Pull": unary(self._pull, pubsub.PullRequest, pubsub.PullResponse),
        }
        return service("google.pubsub.v1.Subscriber", methods)

    def _acknowledge(self, request: pubsub.AcknowledgeRequest, _: grpc.ServicerContext) -> Empty:
        self._broker.acknowledge(self._registry.subscription(request.subscription), request.ack_ids)
        return Empty()

    def _create(self, request: pubsub.Subscription, _: grpc.ServicerContext) -> pubsub.Subscription:
        subscription = self._registry.create_subscription(request)
        if subscription.settings.push_endpoint:
            Pusher(self._broker, subscription).start()
        return request

    def _delete(self, request: pubsub.DeleteSubscriptionRequest, _: grpc.ServicerContext) -> Empty:
        self._registry.delete_subscription(request.subscription)
        return Empty()

    def _get(self, request: pubsub.GetSubscriptionRequest, _: grpc.ServicerContext) -> pubsub.Subscription:
        return self._registry.subscription(request.subscription).resource

    def _list(
        self, request: pubsub.ListSubscriptionsRequest, _: grpc.ServicerContext
    ) -> pubsub.ListSubscriptionsResponse:
        return pubsub.ListSubscriptionsResponse(subscriptions=self._registry.subscriptions(request.project))

    def _modify_ack_deadline(
        self, request: pubsub.ModifyAckDeadlineRequest, _: grpc.ServicerContext
    ) -> Empty:
        if not 0 <= request.ack_deadline_seconds <= MAX_ACK_DEADLINE_S:
            raise invalid(f"ack_deadline_seconds must be within 0 and {MAX_ACK_DEADLINE_S}.")
        subscription = self._registry.subscription(request.subscription)
        self._broker.modify_ack_deadline(subscription, request.ack_ids, request.ack_deadline_seconds)
        return Empty()

    def _pull(self, request: pubsub.PullRequest, context: grpc.ServicerContext) -> pubsub.PullResponse:
        if request.max_messages <= 0:
            raise invalid("No max_messages specified")
        subscription = self._registry.subscription(request.subscription)
        if subscription.settings.push_endpoint:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION, f"{request.subscription} is a push subscription."
            )
        # A client that goes away must not leave a thread waiting in its name.
        context.add_callback(lambda: self._broker.wake(subscription))
        limit = min(request.max_messages, MAX_PULLED_MESSAGES)
        taken = self._broker.take(
            subscription, limit, _wait_s(request, context), lambda: not context.is_active()
        )
        counted = bool(subscription.settings.dead_letter_topic)
        return pubsub.PullResponse(received_messages=[_received(delivery, counted) for delivery in taken])


def _wait_s(request: pubsub.PullRequest, context: grpc.ServicerContext) -> float:
    if request.return_immediately:
        return 0.0
    remaining_s: float | None = context.time_remaining()
    return threading.TIMEOUT_MAX if remaining_s is None else max(0.0, remaining_s - PULL_MARGIN_S)


def _received(delivery: Delivery, counted: bool) -> pubsub.ReceivedMessage:  # noqa: FBT001 - private, one caller
    message = delivery.message
    return pubsub.ReceivedMessage(
        ack_id=delivery.ack_id,
        message=pubsub.PubsubMessage(
            data=message.content.data,
            attributes=dict(message.content.attributes),
            message_id=message.message_id,
            publish_time=message.published,
            ordering_key=message.content.ordering_key,
        ),
        delivery_attempt=delivery.attempt if counted else 0,
    )
