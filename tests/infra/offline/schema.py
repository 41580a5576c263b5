"""The providers' schemas, from JSON to the protocol's messages."""

import json
from pathlib import Path
from typing import TypedDict

from tf.gen import tfplugin_pb2 as pb

FOLDER = Path(__file__).parent

Type = str | list[object]


class Attribute(TypedDict, total=False):
    """An argument: its cty type, and whether it is set by the user, the provider, or either."""

    type: Type
    required: bool
    optional: bool
    computed: bool
    deprecated: bool


class Block(TypedDict, total=False):
    """Arguments and the blocks inside; `nesting` is that of a nested block."""

    attributes: dict[str, Attribute]
    blocks: "dict[str, Block]"
    nesting: str
    min_items: int
    max_items: int


class Schemas(TypedDict):
    """A provider's types by name."""

    resources: dict[str, Block]
    data: dict[str, Block]


def load(provider: str) -> Schemas:
    """Return the schemas of `google` or `archive`."""
    schemas: Schemas = json.loads((FOLDER / f"{provider}.json").read_text())
    return schemas


def message(block: Block) -> pb.Schema:
    """Return a type's schema as the protocol has it."""
    return pb.Schema(version=0, block=_block(block))


def _block(block: Block) -> pb.Schema.Block:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(attribute["type"]).encode(),
                required=attribute.get("required", False),
                optional=attribute.get("optional", False),
                computed=attribute.get("computed", False),
                deprecated=attribute.get("deprecated", False),
            )
            for name, attribute in sorted(block.get("attributes", {}).items())
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(nested),
                nesting=pb.Schema.NestedBlock.NestingMode.Value(nested["nesting"].upper()),
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in sorted(block.get("blocks", {}).items())
        ],
    )
