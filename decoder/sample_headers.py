"""The headers of a sample: those of every record, and sometimes an unusual one."""

from random import Random

from decoder.rows import TYPE_HEADER

Header = tuple[str, bytes | None]


def sample_headers(item_type_name: str, rng: Random) -> tuple[Header, ...]:
    """Return a record's headers: its type, a trace, and sometimes a repeated, binary, null or empty one."""
    trace, span = rng.randbytes(16), rng.randbytes(8)
    headers: list[Header] = [
        (TYPE_HEADER, item_type_name.encode()),
        ("content-type", b"application/avro"),
        ("source", item_type_name.partition(".")[0].encode() + b"-service"),
        ("traceparent", f"00-{trace.hex()}-{span.hex()}-01".encode()),
    ]
    odd: tuple[tuple[Header, ...], ...] = (
        (("x-hop", b"gateway"), ("x-hop", b"router")),
        # https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md
        (("grpc-trace-bin", b"\x00\x00" + trace + b"\x01" + span + b"\x02\x01"),),
        (("correlation-id", None),),
        (("tracestate", b""),),
    )
    (extra,) = rng.choices(((), *odd), (86, 4, 4, 4, 2))
    headers += extra
    if rng.choice((True, False, False)):
        rng.shuffle(headers)
    return tuple(headers)
