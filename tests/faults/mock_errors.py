"""Errors of the brokers on demand, from librdkafka's mock cluster."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import confluent_kafka
from confluent_kafka import Producer

OFFSET_COMMIT = 8  # https://kafka.apache.org/protocol#protocol_api_keys


def answer_with(hosting: Producer, api_key: int, errors: Sequence[int]) -> None:
    """Have the mock cluster that the producer hosts answer the next requests of a kind with these errors.

    librdkafka has a call for it (rdkafka_mock.h), Python's client has none: its object holds the C handle
    behind Python's own two words.
    """
    (path,) = Path(confluent_kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka-*")
    library = ctypes.CDLL(str(path))
    library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
    library.rd_kafka_handle_mock_cluster.argtypes = [ctypes.c_void_p]
    handle = ctypes.c_void_p.from_address(id(hosting) + object.__basicsize__)
    cluster = library.rd_kafka_handle_mock_cluster(handle)
    assert cluster, "the producer hosts no mock cluster"
    push = library.rd_kafka_mock_push_request_errors_array
    push.restype = None
    push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]
    push(cluster, api_key, len(errors), (ctypes.c_int * len(errors))(*errors))
