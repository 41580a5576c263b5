"""A provider that knows its schema and makes nothing: what it is asked to create, it says it created.

The protocol: https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

from tests.infra.offline.schema import Block, Schemas, message

Value = dict[str, object]
UNKNOWN = msgpack.ExtType(0, b"")  # Terraform's own has a byte of data


def decode(value: pb.DynamicValue) -> Value | None:
    """Return the object that a message has; null where there is none."""
    content: Value | None = (
        msgpack.unpackb(value.msgpack) if value.msgpack else json.loads(value.json or b"null")
    )
    return content


def encode(value: Value | None) -> pb.DynamicValue:
    """Return an object as Terraform wants it."""
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def fill(block: Block, value: Value, computed: Callable[[str, object], object]) -> Value:
    """Return the object with what the provider computes, where the user set nothing."""
    filled = dict(value)
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and (
            filled.get(name) is None or isinstance(filled[name], msgpack.ExtType)
        ):
            filled[name] = computed(name, attribute["type"])
    for name, nested in block.get("blocks", {}).items():
        inner = filled.get(name)
        if isinstance(inner, list):
            filled[name] = [fill(nested, item, computed) for item in inner]
        elif isinstance(inner, dict) and nested["nesting"] == "single":
            filled[name] = fill(nested, inner, computed)
    return filled


def made_up(owner: Value) -> Callable[[str, object], object]:
    """Return what computes attributes: plausible values that tell whose they are."""
    name = next((owner[key] for key in NAMES if isinstance(owner.get(key), str)), "it")
    email = f"{owner.get('account_id')}@my-project.iam.gserviceaccount.com"
    known = {
        "id": name,
        "email": email,
        "member": f"serviceAccount:{email}",
        "number": "123456789012",
        "uri": f"https://{name}.run.app",
        "output_path": name,
    }

    def value(attribute: str, of: object) -> object:
        if attribute in known:
            return known[attribute]
        if isinstance(of, list):
            return {} if of[0] == "map" else []
        return {"string": f"{attribute} of {name}", "number": 0, "bool": False}[str(of)]

    return value


# By which a resource is known, the most telling first.
NAMES = ("account_id", "secret_id", "repository_id", "role_id", "table_id", "dataset_id", "name", "service")


# Data sources that say what an agent of Google's is called.
AGENTS: dict[str, Value] = {
    "google_bigquery_default_service_account": {
        "email": "bq-123456789012@bigquery-encryption.iam.gserviceaccount.com"
    },
    "google_storage_project_service_account": {
        "email_address": "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
    },
}


# What no update can change, where a test looks at the replacement: the schema does not tell.
IMMUTABLE = {"google_pubsub_subscription": ("enable_message_ordering",)}


class Provider(rpc.ProviderServicer):  # type: ignore[misc] # generated, without types
    """Answers Terraform with the schemas of one provider; the methods are the protocol's."""

    # ruff: noqa: N802, D102

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def GetProviderSchema(self, *_: object) -> pb.GetProviderSchema.Response:
        return pb.GetProviderSchema.Response(
            provider=message(PROVIDER),
            resource_schemas={name: message(block) for name, block in self._schemas["resources"].items()},
            data_source_schemas={name: message(block) for name, block in self._schemas["data"].items()},
        )

    def ValidateProviderConfig(self, *_: object) -> pb.ValidateProviderConfig.Response:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, *_: object) -> pb.ValidateResourceConfig.Response:
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, *_: object) -> pb.ValidateDataResourceConfig.Response:
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, *_: object) -> pb.ConfigureProvider.Response:
        return pb.ConfigureProvider.Response()

    def StopProvider(self, *_: object) -> pb.StopProvider.Response:
        return pb.StopProvider.Response()

    def UpgradeResourceState(
        self, request: pb.UpgradeResourceState.Request, _: grpc.ServicerContext
    ) -> pb.UpgradeResourceState.Response:
        state = json.loads(request.raw_state.json)
        return pb.UpgradeResourceState.Response(upgraded_state=encode(state))

    def ReadResource(
        self, request: pb.ReadResource.Request, _: grpc.ServicerContext
    ) -> pb.ReadResource.Response:
        return pb.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(
        self, request: pb.PlanResourceChange.Request, _: grpc.ServicerContext
    ) -> pb.PlanResourceChange.Response:
        before, planned = decode(request.prior_state), decode(request.proposed_new_state)
        changed: list[str] = []
        if planned is not None:
            planned = fill(self._schemas["resources"][request.type_name], planned, lambda *_: UNKNOWN)
            if before is not None:
                immutable = IMMUTABLE.get(request.type_name, ())
                changed = [name for name in immutable if before[name] != planned[name]]
        return pb.PlanResourceChange.Response(
            planned_state=encode(planned),
            requires_replace=[
                pb.AttributePath(steps=[pb.AttributePath.Step(attribute_name=name)]) for name in changed
            ],
            legacy_type_system=True,
        )

    def ApplyResourceChange(
        self, request: pb.ApplyResourceChange.Request, _: grpc.ServicerContext
    ) -> pb.ApplyResourceChange.Response:
        state = decode(request.planned_state)
        if state is not None:
            state = fill(self._schemas["resources"][request.type_name], state, made_up(state))
        return pb.ApplyResourceChange.Response(new_state=encode(state), legacy_type_system=True)

    def ReadDataSource(
        self, request: pb.ReadDataSource.Request, _: grpc.ServicerContext
    ) -> pb.ReadDataSource.Response:
        config = decode(request.config) or {}
        state = fill(
            self._schemas["data"][request.type_name],
            config | AGENTS.get(request.type_name, {}),
            made_up(config),
        )
        return pb.ReadDataSource.Response(state=encode(state))


# What the project's provider block sets.
PROVIDER: Block = {
    "attributes": {
        "project": {"type": "string", "optional": True},
        "region": {"type": "string", "optional": True},
        "default_labels": {"type": ["map", "string"], "optional": True},
    }
}


def serve(servicer: Provider, socket: Path) -> grpc.Server:
    """Answer on a Unix socket until the server is stopped."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    rpc.add_ProviderServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    return server
