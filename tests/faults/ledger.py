"""What was produced, beside what arrived: the judge of every fault."""

import hashlib
import threading
from collections.abc import Sequence

import msgspec

import envelope
from envelope import Header

Position = tuple[str, int, int]  # topic, partition, offset


class Entry(msgspec.Struct, frozen=True):
    """A record's value, and its key and headers, each as a SHA-256."""

    value: bytes
    rest: bytes


class Verdict(msgspec.Struct, frozen=True):
    """Records produced and not arrived as they were; arrived again; arrived and never produced."""

    produced: int
    lost: int
    duplicates: int
    unexpected: int


class Ledger:
    """Written by producers and collectors, in threads of their own.

    `overtaken` counts the records that came for the first time after a later one of their partition.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._produced: dict[Position, Entry] = {}
        self._arrived: dict[Position, Entry] = {}
        self._copies = 0
        self._damaged: set[Position] = set()
        self._excused: set[Position] = set()
        self.overtaken = 0
        self._highest: dict[tuple[str, int], int] = {}
        self._highest_produced: dict[tuple[str, int], int] = {}

    def produced(self, position: Position, entry: Entry) -> None:
        """Note what Kafka has."""
        with self._lock:
            self._produced[position] = entry
            topic, partition, offset = position
            self._highest_produced[topic, partition] = offset

    def arrived(self, message: envelope.Message) -> None:
        """Note what came out of Pub/Sub, be it events or a dead letter."""
        value = message.attributes.get(envelope.VALUE_SHA256)
        own = {n: v for n, v in message.attributes.items() if not n.startswith("kafka.dead_letter.")}
        for record in envelope.unpack(envelope.Message(message.data, own)).records:
            entry = entry_of(record.key, record.headers, record.value)
            if value is not None:
                entry = Entry(bytes.fromhex(value), entry.rest)
            self._note((record.topic, record.partition, record.offset), entry)

    def _note(self, position: Position, entry: Entry) -> None:
        with self._lock:
            self._copies += 1
            topic, partition, offset = position
            highest = self._highest.get((topic, partition), -1)
            self.overtaken += position not in self._arrived and offset < highest
            if self._arrived.setdefault(position, entry) != entry:
                self._damaged.add(position)
            self._highest[topic, partition] = max(offset, highest)

    def excuse(self, topic: str, partition: int, offsets: range) -> None:
        """Note offsets that the bridge has reported as gone."""
        with self._lock:
            self._excused.update((topic, partition, offset) for offset in offsets)

    def highest(self) -> dict[tuple[str, int], int]:
        """Return the highest offset that arrived, by partition."""
        with self._lock:
            return dict(self._highest)

    def highest_produced(self) -> dict[tuple[str, int], int]:
        """Return the highest offset that Kafka has, by partition."""
        with self._lock:
            return dict(self._highest_produced)

    def missing(self) -> int:
        """Return how many have not arrived yet."""
        with self._lock:
            return len(self._produced.keys() - self._arrived.keys() - self._excused)

    def verdict(self) -> Verdict:
        """Return what became of all of them; those that arrived and are not as they were count as lost."""
        with self._lock:
            lost = self._produced.keys() - self._arrived.keys() - self._excused
            differ = {p for p, entry in self._produced.items() if self._arrived.get(p, entry) != entry}
            return Verdict(
                len(self._produced),
                len(lost | differ | self._damaged),
                self._copies - len(self._arrived),
                len(self._arrived.keys() - self._produced.keys()),
            )


def entry_of(key: bytes | None, headers: Sequence[Header], value: bytes | None) -> Entry:
    """Return a record's entry; the plain form keeps no order between headers of different names."""
    ordered = sorted(headers, key=lambda header: header[0])
    return Entry(
        hashlib.sha256(value).digest() if value is not None else b"tombstone",
        hashlib.sha256(msgspec.msgpack.encode((key, ordered))).digest(),
    )
