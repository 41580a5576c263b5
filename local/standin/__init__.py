"""A stand-in for Pub/Sub, for machines without the gcloud CLI's emulator: one process, in memory.

It speaks the gRPC services Publisher and Subscriber, so the real google-cloud-pubsub clients work against it
with ``PUBSUB_EMULATOR_HOST``, and it pushes over HTTP. ``tests/integration/test_pubsub_contract.py`` holds it
and the official emulator to the same behaviour. Where the two differ, it follows the documentation of the
real service: it enforces the limits on messages, and it refuses what it cannot do (filters, ordered delivery,
exactly-once delivery, exports) instead of accepting and ignoring it.

For the tests of a publisher it fails when told to: requests with faults.py, connections with proxy.py.
"""
