"""Each query, command and output of the pages, tried on a pipeline that runs as a user's does."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.docs import tools
from tests.docs.commands import HERE, check, commands
from tests.docs.kinds import is_query, kind, printed_by
from tests.docs.output import PRINTED, missing
from tests.docs.pages import Part, blocks, spans
from tests.docs.world import World, copy

# Names of a deployment → what they are here.
NAMES = {
    **HERE,
    "env = 'prod'": "env = 'local'",
    "BETWEEN A AND B": "BETWEEN TIMESTAMP '2000-01-01' AND TIMESTAMP '2100-01-01'",
}
# Queries that have no row here, by a part of theirs, and why.
WITHOUT_ROWS = {
    "EXCEPT DISTINCT": "what one table has and the other lacks should be nothing",
    "r.replayed_at IS NOT NULL": "nothing was replayed here; tests/integration/test_operate.py does that",
}
# Inline code that begins like a command of ours and is none.
SOMEBODY_ELSES = {"time", "kcat"}


# Those of the programs that a page shows which not every machine has.
NEEDS = {"gcloud": pytest.mark.needs("gcloud"), "terraform": pytest.mark.needs("terraform")}


def needing(parts: list[Part]) -> list[ParameterSet]:
    """Return the parts as parameters of a test, marked with the programs that they name."""
    return [
        pytest.param(
            part,
            id=str(part),
            marks=[
                mark
                for program, mark in NEEDS.items()
                if any(command.words[0] == program for command in commands(part))
            ],
        )
        for part in parts
    ]


def of_kind(name: str) -> list[Part]:
    """Return the blocks of a kind."""
    return [block for block in blocks() if kind(block) == name]


def inline(*programs: str) -> list[Part]:
    """Return the inline commands of these programs."""
    return [span for span in spans() if span.text.partition(" ")[0] in programs and " " in span.text]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give a running pipeline with rows in every table."""
    made = World(tmp_path_factory.mktemp("docs"))
    made.query("CREATE SCHEMA legacy")
    made.query("CREATE TABLE legacy.delivery_changed AS SELECT * FROM delivery_changed_unique")
    yield made
    made.stop()


@pytest.mark.parametrize("query", of_kind("sql"), ids=str)
def test_a_query_runs(world: World, query: Part) -> None:
    """A block of SQL is answered, with rows where rows are to be expected."""
    ask(world, query.text)


@pytest.mark.parametrize("query", [span for span in spans() if is_query(span.text)], ids=str)
def test_a_query_in_the_text_runs(world: World, query: Part) -> None:
    """So is SQL within a sentence."""
    ask(world, query.text)


def ask(world: World, sql: str) -> None:
    """Ask with this pipeline's names."""
    for there, here in NAMES.items():
        sql = sql.replace(there, here)
    rows = world.query(sql)
    assert bool(rows) != any(part in sql for part in WITHOUT_ROWS), rows[:3]


@pytest.mark.parametrize("block", needing(of_kind("commands")))
def test_commands_work(world: World, block: Part) -> None:
    """Each command of a block is run, or where it needs a cloud or hours, read by the program itself."""
    for command in commands(block):
        check(command, world)


@pytest.mark.parametrize("span", needing(inline("make", "terraform", "gcloud")))
def test_a_command_in_the_text_exists(world: World, span: Part) -> None:
    """A command within a sentence is one that its program knows, with its flags."""
    (command,) = commands(span)
    if command.words[0] == "make":
        tools.assert_make_knows(world, command.words[1], "".join(command.words[2:]).removeprefix("ARGS="))
    else:
        check(command, world)


@pytest.mark.parametrize("span", inline("python", ".venv/bin/python"), ids=str)
def test_a_module_in_the_text_has_the_command(world: World, span: Part) -> None:
    """`python -m …` within a sentence names a module, a command and flags that exist."""
    (command,) = commands(Part(span.page, span.line, span.text.replace("[", "").replace("]", "")))
    assert command.words[1] == "-m"
    tools.assert_module_knows(world, command.words[2:])


@pytest.mark.parametrize("span", inline(*SOMEBODY_ELSES), ids=str)
def test_the_rest_of_the_inline_commands_is_known(world: World, span: Part) -> None:
    """What is timed runs; kcat is named for what it reads, and is not ours to test."""
    program, _, rest = span.text.partition(" ")
    if program == "time":
        (command,) = commands(Part(span.page, span.line, rest))
        world.run([str(world.python), *command.words[1:]])


@pytest.mark.parametrize("shown", of_kind("output"), ids=str)
def test_an_output_is_what_is_printed(world: World, shown: Part, tmp_path: Path) -> None:
    """What a page shows of an output is printed today, but for numbers, times and ids."""
    printers: dict[str, Callable[[], str]] = {
        "make run with --exit": world.verdict,
        "python -m decoder check of a catalogue with that fault": lambda: bad_catalogue(world, tmp_path),
        "python -m tests.fuzz": lambda: fuzz(world),
    }
    name = next((name for start, name in PRINTED.items() if re.search(start, shown.text)), None)
    before = printed_by(shown)
    if name:
        printed = printers[name]()
    else:
        printed = "".join(check(command, world) for command in commands(before)) if before else ""
    letters = world.query(
        "SELECT reason, kafka_topic, kafka_partition, kafka_offset, message FROM dead_letters"
    )
    also = [
        "{reason} {kafka_topic}/{kafka_partition}:{kafka_offset} {message}".format(**letter)
        for letter in letters
    ]
    if "misreads bytes of version" in shown.text:
        # One line that is too long for a page.
        assert missing(" ".join(shown.text.split()), printed) == []
    else:
        assert missing(shown.text, printed, also) == []


def fuzz(world: World) -> str:
    """Return what a second of `make fuzz` prints."""
    return world.run([str(world.python), "-m", "tests.fuzz", "--minutes", "0.02"])


def bad_catalogue(world: World, folder: Path) -> str:
    """Return what `check` says of a version that misreads the one before it."""
    fields = [
        {"name": "id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]
    record = {"type": "record", "name": "Order", "namespace": "shop"}
    there = copy(folder / "repository")
    topic = "{name: orders_v1, version: 1, current: true}"
    (there / "streams.yaml").write_text(f"streams: {{orders: {{table: orders, topics: [{topic}]}}}}\n")
    schemas = there / "decoder" / "schemas"
    shutil.rmtree(schemas)
    (schemas / "orders_v1").mkdir(parents=True)
    for number, name, symbols in ((1, "Order", ["SENT"]), (2, "Order2", ["DRAFT", "SENT"])):
        status = {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": symbols}}
        schema = {**record, "schema_version": number, "fields": [*fields, status]}
        (schemas / "orders_v1" / f"{name}.avsc").write_text(json.dumps(schema))
    return world.fails([str(world.python), "-m", "decoder", "check"], there)
