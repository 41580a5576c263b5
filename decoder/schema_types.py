"""What is asked of a schema's parts: a definition behind a name, a type, a name for people."""

from collections.abc import Collection, Mapping

from decoder.leaves import Logical, Node

NAMED = ("record", "error", "enum", "fixed")
# A number is one whichever branch it is of; null, a boolean and an array there can be once.
_FORMS = {
    **dict.fromkeys(("null", "boolean", "array", "int", "long", "float", "double"), "itself"),
    **dict.fromkeys(("record", "error", "map"), "object"),
}


class IncompatibleError(ValueError):
    """A schema that cannot be read with, or bytes of one that cannot be read as another: where and why."""

    def __init__(self, path: str, said: str) -> None:
        super().__init__(f"{path}: {said}" if path else said)


def definition(schema: Node, names: Mapping[str, Node]) -> Node:
    """Return the type that a name stands for."""
    return names.get(schema, schema) if isinstance(schema, str) else schema


def kind_of(schema: Node) -> str:
    """Return what a type is: record, union, long and so on."""
    return (
        "union" if isinstance(schema, list) else str(schema["type"] if isinstance(schema, dict) else schema)
    )


def describe(schema: Node) -> str:
    """Return a type in words, a named one with its name."""
    if isinstance(schema, list):
        return f"[{', '.join(map(describe, schema))}]"
    return f"{kind_of(schema)} {schema['name']}" if kind_of(schema) in NAMED else kind_of(schema)


def branch_name(branch: Node) -> str:
    """Return a branch's name, as in Avro's JSON encoding."""
    return str(branch["name"]) if kind_of(branch) in NAMED else kind_of(branch)


def logical_words(logical: Logical) -> str:
    """Return what leaves.logical_type gave in words."""
    return f"decimal({logical[1]}, {logical[2]})" if logical[0] == "decimal" else logical[0]


def same_name(writer: Node, reader: Node) -> bool:
    """Return whether the reader's type is the writer's, by its own name or an alias.

    https://avro.apache.org/docs/1.12.0/specification/#aliases
    """
    name, space = writer["name"], reader["name"].rpartition(".")[0]
    if name.rpartition(".")[2] == reader["name"].rpartition(".")[2]:
        return True
    aliases = reader.get("aliases", ())
    return any(name == (alias if "." in alias or not space else f"{space}.{alias}") for alias in aliases)


def field_of(reader: Node, name: str, names: Collection[str]) -> Node | None:
    """Return the reader's field for the writer's `name`, by its own or an alias that `names` does not have.

    https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
    """
    fields = reader["fields"]
    own = next((field for field in fields if field["name"] == name), None)
    aliased = (f for f in fields if name in f.get("aliases", ()) and f["name"] not in names)
    return own or next(aliased, None)


def is_ambiguous(union: Node, names: Mapping[str, Node]) -> bool:
    """Return whether two branches could have the same JSON and not be the same."""
    forms = [_FORMS.get(kind_of(definition(branch, names)), "text") for branch in union]
    return any(forms.count(form) > 1 for form in ("text", "object"))
