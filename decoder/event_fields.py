"""Where an event has its id and its timestamp: two paths of record fields, checked before any event.

They fill the columns event_id and timestamp, which are REQUIRED: nothing on a path can be null.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Annotated, Any

import msgspec

from decoder.leaves import Node, logical_type
from decoder.schema_types import definition, kind_of

# Names of fields, from the event's record in: header.event_id
FieldPath = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]

_IDS = {("string", None), ("string", "uuid"), ("int", None), ("long", None), ("fixed", "uuid")}
_UNITS = ("millis", "micros", "nanos")
_TIMESTAMPS = [f"{zone}timestamp-{unit}" for zone in ("", "local-") for unit in _UNITS]
# Of each column: the types of its field, and how they are called in an error.
_WANTED: Mapping[str, tuple[set[tuple[str, str | None]], str]] = {
    "id": (_IDS, "string or int or long, or a fixed that is a uuid,"),
    "timestamp": ({("long", name) for name in _TIMESTAMPS}, " or ".join(_TIMESTAMPS)),
}
_MAX_SHOWN = 300
_MICROSECONDS = len("2024-02-29T23:59:59.987654")


class EventFields(msgspec.Struct, frozen=True):
    """The paths of an event's id and timestamp."""

    id: FieldPath = "id"
    timestamp: FieldPath = "timestamp"


DEFAULT_FIELDS = EventFields()


def field_getter(path: str) -> Callable[[Mapping[str, object]], object]:
    """Return the function that takes the value at a path out of an event."""
    name, _, rest = path.partition(".")
    if not rest:
        return itemgetter(name)
    inner = field_getter(rest)

    def get(event: Mapping[str, Any]) -> object:
        return inner(event[name])

    return get


def to_utc(value: object) -> datetime:
    """Return a timestamp of any Avro type as an instant of microseconds.

    A local timestamp is read as UTC. Nanoseconds are text: those past the microsecond are cut off.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromisoformat(str(value)[:_MICROSECONDS]).replace(tzinfo=UTC)


def event_problem(schema: Node, fields: EventFields) -> str | None:
    """Return what a record lacks to be an event, None where it lacks nothing."""
    names = [field["name"] for field in schema["fields"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"field {twice!r} is there twice"
    named = schema.get("__named_schemas", {})
    for column in _WANTED:
        problem = _path_problem(schema, column, getattr(fields, column), named)
        if problem:
            return problem
    return None


def _path_problem(schema: Node, column: str, path: str, named: Mapping[str, Node]) -> str | None:
    record, place = schema, ""
    *outer, last = path.split(".")
    for name in outer:
        field = _field(record, name)
        if field is None:
            return _missing(record, column, path, name, place)
        place = f"{place}.{name}" if place else name
        record = definition(field["type"], named)
        if kind_of(record) not in ("record", "error"):
            why = "a union, which may be null or of another type" if isinstance(record, list) else None
            return (
                f"{column}: {path}: field {place!r} must be a record, it is {why or kind_of(record)}: "
                f"the column is REQUIRED, so a path goes through records only"
            )
    field = _field(record, last)
    if field is None:
        return _missing(record, column, path, last, place)
    kind = definition(field["type"], named)
    logical = logical_type(kind)
    types, words = _WANTED[column]
    if (kind_of(kind), logical[0] if logical else None) in types:
        return None
    said = f"field {path!r} must be {words} and not null, it is {str(field['type'])[:_MAX_SHOWN]}"
    if isinstance(field.get("logicalType"), str):
        said += f"; {beside(field)}"
    return said


def beside(field: Node) -> str:
    """Return what is wrong with a logicalType that stands next to a field's type, and the right form."""
    right = f'"type": {{"type": "{kind_of(field["type"])}", "logicalType": "{field["logicalType"]}"}}'
    return f"the logicalType next to its type is ignored: write {right}"


def _field(record: Node, name: str) -> Node | None:
    return next((field for field in record["fields"] if field["name"] == name), None)


def _missing(record: Node, column: str, path: str, name: str, place: str) -> str:
    shown = ", ".join(str(field["name"]) for field in record["fields"])[:_MAX_SHOWN]
    has = f"{place!r} has the fields {shown}" if place else f"the record has the fields {shown}"
    if path == column:
        return (
            f"field {name!r} is missing: every event needs one; {has}. If one of them is the event's "
            f"{column}, or holds it, set {column}_field to its path in the schema file, "
            f"or {column} of the topic in streams.yaml"
        )
    return f"{column}: {path}: field {name!r} is missing: {has}"
