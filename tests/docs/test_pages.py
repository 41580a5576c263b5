"""The pages' links, their examples of files, and that no block is of an unknown kind."""

import json
import os
import re
import textwrap
from pathlib import Path

import pytest
import yaml

from bridge.config import load
from decoder.streams import load_streams
from tests.docs.kinds import elsewhere, kind
from tests.docs.pages import ROOT, Part, anchors, blocks, links, spans
from tests.unit.bridge.test_program import SETTINGS


def of_kind(name: str) -> list[Part]:
    """Return the blocks of a kind."""
    return [block for block in blocks() if kind(block) == name]


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_every_block_is_known(block: Part) -> None:
    """A block is of one of the kinds that are tested: label it, or give tests/docs/kinds.py a rule."""
    assert kind(block), f"{block}: what is this?\n{block.text}"


@pytest.mark.parametrize("block", of_kind("elsewhere"), ids=str)
def test_what_another_test_runs_is_read_by_it(block: Part) -> None:
    """The test that has the block's commands reads them from the page."""
    source = (ROOT / (elsewhere(block) or "")).read_text()
    assert block.page.rpartition("/")[2] in source


@pytest.mark.parametrize("link", links(), ids=str)
def test_a_link_leads_somewhere(link: Part) -> None:
    """A link's file is there, and its heading."""
    path, _, anchor = link.text.partition("#")
    target = (ROOT / link.page).parent / path if path else ROOT / link.page
    assert target.exists(), f"{link.page}:{link.line}: there is no {link.text}"
    if anchor:
        page = Path(os.path.normpath(target)).relative_to(ROOT).as_posix()
        assert anchor in anchors(page), f"{link.page}:{link.line}: there is no heading {link.text}"


@pytest.mark.parametrize(
    "span",
    [span for span in spans() if re.fullmatch(r"[a-z_]+(/[\w.-]+)+\.(py|md|sql|yaml|tf)", span.text)],
    ids=str,
)
def test_a_named_file_exists(span: Part) -> None:
    """A file that a sentence names by its path from the root is there."""
    assert (ROOT / span.text).exists(), f"{span.page}:{span.line}"


@pytest.mark.parametrize("block", of_kind("yaml") + of_kind("json"), ids=str)
def test_an_example_of_a_file_is_accepted(block: Part, tmp_path: Path) -> None:
    """JSON is JSON; a streams.yaml, a stream of it or a topic of one is read as the function reads it."""
    if kind(block) == "json":
        json.loads(block.text)
        return
    example = yaml.safe_load(block.text)
    if isinstance(example, list):
        example = {"orders": {"table": "orders", "topics": example}}
    if "streams" not in example:
        example = {"streams": example}
    file = tmp_path / "streams.yaml"
    file.write_text(yaml.safe_dump(example))
    assert load_streams(file)


@pytest.mark.parametrize("block", of_kind("properties"), ids=str)
def test_properties_are_accepted(block: Part, tmp_path: Path) -> None:
    """The bridge takes an example of its file."""
    file = tmp_path / "kafka.properties"
    file.write_text(textwrap.dedent(block.text))
    own = {name: value for name, value in SETTINGS.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    config = load([], {**own, "KAFKA_PROPERTIES_FILE": str(file)})
    assert config.kafka["bootstrap.servers"] in block.text


@pytest.mark.parametrize("block", of_kind("picture"), ids=str)
def test_a_picture_shows_what_is_there(block: Part) -> None:
    """The folders and functions of a picture exist."""
    for folder in re.findall(r"\b[a-z]+(?=/)", block.text):
        assert (ROOT / folder).is_dir(), folder
    for module, function in re.findall(r"\b(\w+)\.(\w+)\b", block.text):
        assert re.search(rf"def {function}\b", (ROOT / f"{module}.py").read_text()), f"{module}.{function}"
