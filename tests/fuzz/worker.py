"""One process of the fuzzer: values made from numbered seeds, each decoded, timed and compared."""

import contextlib
import io
import json
import mmap
import resource
import struct
import sys
import time
from pathlib import Path
from random import Random

import fastavro
from fastavro.schema import SchemaParseException, UnknownType
from fastavro.types import Schema

from decoder.avro import Writer
from decoder.binary import WalkError
from decoder.catalog import EventType
from decoder.framing import decode
from decoder.limits import DEFAULT_LIMITS
from decoder.reading import Reading
from decoder.schema_file import schema_fingerprint
from decoder.schema_types import IncompatibleError
from decoder.shape import Shapes
from decoder.streams import Topic
from decoder.values import to_json
from decoder.walk import Walker
from rejection import RejectedError
from tests.attacks.attack import container
from tests.fuzz.compare import disagreement, prepared
from tests.fuzz.evolve import evolved, extended
from tests.fuzz.schemas import SchemaMaker, bytes_of, long, spoiled, spoiled_schema
from tests.unit.decoder.making import event_type

VALUES_A_SCHEMA = 20
MAX_BYTES = 1_000_000
MEMORY_LIMIT = 1_000_000_000
_CODECS = ("null", "deflate", "bzip2", "snappy", "xz", "zstandard", "lz4")


class Summary:
    """What a process found."""

    def __init__(self) -> None:
        self.executions = 0
        self.slowest_ms = 0.0
        self.slowest_seed = 0
        self.disagreements: list[str] = []
        self.errors: list[str] = []

    def line(self) -> str:
        """Return it as JSON."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
        return json.dumps({**vars(self), "peak_mb": round(peak, 1)})


def run(first: int, seconds: float, progress: Path | None = None, schemas: int = sys.maxsize) -> Summary:
    """Fuzz from a seed on for so long; `progress` holds the seed at work, for when the process dies."""
    summary = Summary()
    started = time.monotonic()
    shared = None
    if progress is not None:
        with progress.open("r+b") as file:
            shared = mmap.mmap(file.fileno(), 8)
    for seed in range(first, first + schemas):
        if time.monotonic() - started > seconds:
            break
        if shared is not None:
            shared[:] = struct.pack("<q", seed)
        one_schema(seed, summary)
    return summary


def one_schema(seed: int, summary: Summary) -> None:
    """Make the schema of a seed, and values for it."""
    rng = Random(seed)
    schema = SchemaMaker(rng).record()
    framing = rng.choice(("schemaless", "auto", "container", "single_object", "confluent"))
    topic: dict[str, object] = {"framing": framing, "strict": rng.random() < 0.5}
    try:
        of = event_type(schema, topic=topic)
        writer = Writer(Topic("t", 1, True, strict=bool(topic["strict"])), schema)
    except IncompatibleError:
        summary.executions += 1  # refused when the catalogue loads
        return
    theirs = prepared(schema)
    resolving = _resolving(schema, rng)
    root = Reading(schema).root
    walker = Walker(root, Shapes(root))
    for _ in range(VALUES_A_SCHEMA):
        plain = spoiled(bytes_of(schema, rng), rng)
        _framed(of, _around(plain, schema, framing, rng), seed, summary)
        _compared(writer, (theirs, theirs), plain, seed, summary)
        # avro skips what the reader lacks without looking, a block by the size that it says it has.
        if resolving and _is_exact(walker, plain):
            for reading, reader in resolving:
                _compared(reading, (theirs, reader), plain, seed, summary)
    _framed(of, _around(_large(schema, rng), schema, framing, rng), seed, summary)


def _is_exact(walker: Walker, value: bytes) -> bool:
    try:
        return walker(value, 0, DEFAULT_LIMITS) == len(value)
    except WalkError:
        return False


def _resolving(schema: Schema, rng: Random) -> list[tuple[Writer, object]]:
    """Return the schema's writer for a reader of a later version, and avro's form of that reader.

    And the same once more with the writer's extra fields kept, which avro's reader has to be told of.
    """
    topic = Topic("t", 1, True)
    made: list[tuple[Writer, object]] = []
    # Refused: it is no version of it, or the definition behind a name went with a field.
    with contextlib.suppress(IncompatibleError, SchemaParseException, UnknownType):
        reader = evolved(schema, rng)
        made.append((Writer(topic, schema, reader), prepared(reader)))
        made.append((Writer(topic, schema, reader, keep_extra=True), prepared(extended(reader, schema))))
    return made


def _compared(
    writer: Writer, theirs: tuple[object, object], value: bytes, seed: int, summary: Summary
) -> None:
    summary.executions += 1
    event, message = None, ""
    start = time.process_time()
    try:
        event = writer.decode(value)
        to_json(event)
    except RejectedError as rejection:
        message = str(rejection)
    except Exception as error:  # noqa: BLE001 - the very thing that is looked for
        summary.errors.append(f"seed {seed}: {type(error).__name__}: {error}")
        return
    _timed(start, seed, summary)
    found = disagreement(*theirs, value, _unlabelled(event), message)  # type: ignore[arg-type] # avro's stub
    if found:
        summary.disagreements.append(f"seed {seed}: {value.hex()}: {found}")


def _framed(of: EventType, value: bytes, seed: int, summary: Summary) -> None:
    summary.executions += 1
    start = time.process_time()
    try:
        to_json(decode(value[:MAX_BYTES], of, lambda: None))
    except RejectedError:
        pass
    except Exception as error:  # noqa: BLE001 - the very thing that is looked for
        summary.errors.append(f"seed {seed}: {type(error).__name__}: {error}")
    _timed(start, seed, summary)


def _timed(start: float, seed: int, summary: Summary) -> None:
    spent = (time.process_time() - start) * 1_000
    if spent > summary.slowest_ms:
        summary.slowest_ms, summary.slowest_seed = round(spent, 1), seed


def _around(value: bytes, schema: Schema, framing: str, rng: Random) -> bytes:
    """Put a value into a framing, or leave it, or put in something else."""
    if rng.random() < 0.1:
        return rng.choice((b"Obj\x01", b"\xc3\x01", b"\0", b"\x01", b"")) + rng.randbytes(rng.randint(0, 40))
    if framing == "single_object":
        return b"\xc3\x01" + schema_fingerprint(schema) + value
    if framing == "confluent":
        return b"\0\0\0\0\x07" + value
    if framing == "schemaless" or (framing == "auto" and rng.random() < 0.5):
        return value
    own = schema if rng.random() < 0.6 else SchemaMaker(rng).record()
    clean = {key: own[key] for key in own if not str(key).startswith("__")}  # type: ignore[index] # a record
    text = json.dumps(clean if rng.random() < 0.5 else spoiled_schema(own, rng)).encode()
    codec = rng.choice(_CODECS)
    whole = container(text, [(1, _compressed(value, codec))], codec.encode())
    return spoiled(whole, rng) if rng.random() < 0.3 else whole


def _compressed(value: bytes, codec: str) -> bytes:
    """Return a block as fastavro writes it, taken out of its container."""
    if codec in ("null", "lz4", "zstandard"):
        import cramjam  # noqa: PLC0415 - as in decoder/codecs.py

        return bytes(cramjam.zstd.compress(value)) if codec == "zstandard" else value
    whole = io.BytesIO()
    schema: Schema = {"type": "record", "name": "B", "fields": [{"name": "b", "type": _fixed(len(value))}]}
    fastavro.writer(whole, schema, [{"b": value}], codec=codec, sync_marker=b"s" * 16)
    blocks = whole.getvalue().split(b"s" * 16, 1)[1]
    at = 1
    while blocks[at] > 0x7F:
        at += 1
    return blocks[at + 1 : -16]


def _fixed(size: int) -> dict[str, object]:
    return {"type": "fixed", "name": "F", "size": size}


def _large(schema: Schema, rng: Random) -> bytes:
    """Return up to a megabyte: one value many times, a claim of many items, long runs."""
    one = bytes_of(schema, rng)
    times = rng.randint(1, MAX_BYTES // max(len(one), 1))
    tail = rng.choice((one * times, bytes(times), b"\xff" * times, b"\x02" * times))
    return (one[: rng.randrange(len(one) + 1)] + long(rng.choice((times, -times, 2**40))) + tail)[:MAX_BYTES]


def _unlabelled(value: object) -> object:
    """Return an event without the names of its unions' branches."""
    if isinstance(value, list):
        return [_unlabelled(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    only = next(iter(value)) if len(value) == 1 else ""
    if only in _LABELS or (len(only) > 1 and only.startswith("N")):
        return _unlabelled(value[only])
    return {name: _unlabelled(inner) for name, inner in value.items()}


_LABELS = ("bytes", "string", "map", "int", "long", "float", "double", "boolean", "array")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    print(run(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])).line(), flush=True)
