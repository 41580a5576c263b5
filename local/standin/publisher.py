"""The gRPC service google.pubsub.v1.Publisher: what a publisher asks, put to the broker."""

import contextlib

import grpc
from google.pubsub_v1.types import pubsub

from local.standin.broker import Broker
from local.standin.faults import Faults
from local.standin.limits import check_publish
from local.standin.message import Content
from local.standin.publish_request import RawPublishRequest
from local.standin.refused import Refused
from local.standin.registry import Registry
from local.standin.rpc import Empty, service, unary


class Publisher:
    """The service's methods; those not here answer UNIMPLEMENTED."""

    def __init__(self, registry: Registry, broker: Broker, faults: Faults) -> None:
        self._registry = registry
        self._broker = broker
        self._faults = faults

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the service for a gRPC server."""
        methods = {
            "CreateTopic": unary(self._create, pubsub.Topic, pubsub.Topic),
            "DeleteTopic": unary(self._delete, pubsub.DeleteTopicRequest, Empty),
            "GetTopic": unary(self._get, pubsub.GetTopicRequest, pubsub.Topic),
            "ListTopics": unary(self._list, pubsub.ListTopicsRequest, pubsub.ListTopicsResponse),
            "Publish": unary(self._publish, pubsub.PublishRequest, pubsub.PublishResponse),
        }
        return service("google.pubsub.v1.Publisher", methods)

    def _create(self, request: pubsub.Topic, _: grpc.ServicerContext) -> pubsub.Topic:
        self._registry.create_topic(request)
        return request

    def _delete(self, request: pubsub.DeleteTopicRequest, _: grpc.ServicerContext) -> Empty:
        self._registry.delete_topic(request.topic)
        return Empty()

    def _get(self, request: pubsub.GetTopicRequest, _: grpc.ServicerContext) -> pubsub.Topic:
        return self._registry.topic(request.topic).resource

    def _list(self, request: pubsub.ListTopicsRequest, _: grpc.ServicerContext) -> pubsub.ListTopicsResponse:
        return pubsub.ListTopicsResponse(topics=self._registry.topics(request.project))

    def _publish(
        self, request: pubsub.PublishRequest, context: grpc.ServicerContext
    ) -> pubsub.PublishResponse:
        raw: RawPublishRequest = pubsub.PublishRequest.pb(request)
        if self._faults.meet(raw, context):
            with contextlib.suppress(Refused):
                self._store(raw)
            raise Refused(grpc.StatusCode.UNAVAILABLE, "The stand-in was told to lose the answer.")
        return self._store(raw)

    def _store(self, raw: RawPublishRequest) -> pubsub.PublishResponse:
        contents = [Content(m.data, dict(m.attributes), m.ordering_key) for m in raw.messages]
        check_publish(contents, raw.ByteSize())
        return pubsub.PublishResponse(message_ids=self._broker.publish(raw.topic, contents))
