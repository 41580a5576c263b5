"""What a page shows of an output, compared with what is printed: numbers, times, ids and paths may differ."""

import re
from collections.abc import Collection, Iterable, Mapping

from decoder.streams import load_streams
from rejection import Reason

# How a block begins that shows an output → what prints it (test_examples.py runs it).
PRINTED: Mapping[str, str] = {
    r"^Starting Kafka": "make run with --exit",
    r'^\{"produced":': "make run with --exit",
    r"misreads bytes of version": "python -m decoder check of a catalogue with that fault",
    r'^\{"executions":': "python -m tests.fuzz",
}
MORE = "…"


def _any(words: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(sorted(words, key=len, reverse=True))})\b"


_STREAMS = load_streams()
# In this order. What a word is replaced with says what may stand there instead.
_PLACEHOLDERS: tuple[tuple[str, str], ...] = (
    (r'\{"id":.*', "EVENT"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?", "TIME"),
    (r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "ID"),
    (_any(topic.name for stream in _STREAMS.values() for topic in stream.topics), "TOPIC"),
    (_any(_STREAMS), "STREAM"),
    (_any(Reason), "REASON"),
    (r"\b[A-Z][A-Za-z]+V\d+\b", "TYPE"),
    (r"Pub/Sub \(\w+\)", "Pub/Sub (SERVER)"),
    (r"(?<![\w/])/[\w./-]+", "PATH"),
    (r"(?<![A-Za-z])-?\d+(?:,\d{3})*(?:\.\d+)?", "N"),
    (r"REASON N(?:, REASON N)*", "REASONS"),
    (r"\s+", " "),
)


def normalized(line: str) -> str:
    """Return a line with placeholders for what differs from run to run."""
    for pattern, placeholder in _PLACEHOLDERS:
        line = re.sub(pattern, placeholder, line)
    return line.strip()


def missing(shown: str, printed: str, also: Collection[str] = ()) -> list[str]:
    """Return the lines of a page that were not printed in this order.

    `…` ends a line that goes on, on either side, or stands alone for lines that are left out. What is in
    `also` (whole lines, any order) counts as printed: of random events the newest rows differ.
    """
    lines = [normalized(line) for line in printed.splitlines()]
    others = [normalized(line) for line in also]
    lost, position = [], 0
    for line in shown.splitlines():
        wanted = normalized(line)
        if wanted in {"", MORE}:
            continue
        found = next((n for n in range(position, len(lines)) if _same(wanted, lines[n])), None)
        if found is not None:
            position = found + 1
        elif not any(_same(wanted, other) for other in others):
            lost.append(line)
    return lost


def _same(wanted: str, line: str) -> bool:
    if wanted.endswith(MORE):
        return line.startswith(wanted.removesuffix(MORE).rstrip())
    if line.endswith(MORE):
        return wanted.startswith(line.removesuffix(MORE).rstrip())
    return wanted == line
