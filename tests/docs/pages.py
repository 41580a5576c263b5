"""The pages as Markdown: their blocks, inline code, links and headings."""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Part:
    """A block, a piece of inline code, or the target of a link, and where it stands."""

    page: str
    line: int
    text: str
    language: str = ""

    def __str__(self) -> str:
        """Return the place and how the text begins: what a test is called."""
        return f"{self.page}:{self.line} {self.text.strip().splitlines()[0][:50]}"


def pages() -> list[str]:
    """Return the pages that are tested, as paths from the root: all but the changelog, which is history."""
    found = [ROOT / "README.md", ROOT / "terraform" / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(page.relative_to(ROOT).as_posix() for page in found)


@functools.cache
def blocks() -> list[Part]:
    """Return the fenced and indented blocks of all pages."""
    return [
        Part(page, token.map[0] + 1, token.content, token.info.strip())
        for page in pages()
        for token in _parsed(page)
        if token.type in {"fence", "code_block"} and token.map
    ]


def section(page: str, heading: str) -> list[Part]:
    """Return the blocks of a page between a heading and the next of its level."""
    tokens = _parsed(page)
    starts = [
        (token.map[0], inside.content)
        for token, inside in itertools.pairwise(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.map
    ]
    begin = next(line for line, text in starts if text == heading)
    end = next((line for line, _ in starts if line > begin), None)
    return [
        block for block in blocks() if block.page == page and begin < block.line and block.line < (end or 1e9)
    ]


def spans() -> list[Part]:
    """Return the inline code of all pages, each text once a page."""
    found = [
        Part(page, line, child.content)
        for page in pages()
        for line, child in _inline(page)
        if child.type == "code_inline"
    ]
    return list({(span.page, span.text): span for span in found}.values())


def links() -> list[Part]:
    """Return the targets of all links that lead to a file of the repository or to a heading."""
    targets = [
        Part(page, line, str(child.attrs["href"]))
        for page in pages()
        for line, child in _inline(page)
        if child.type == "link_open"
    ]
    targets += [
        Part(page, line, str(child.attrs["src"]))
        for page in pages()
        for line, child in _inline(page)
        if child.type == "image"
    ]
    return [target for target in targets if not re.match(r"[a-z]+:", target.text)]


def anchors(page: str) -> set[str]:
    """Return the names by which links reach the headings of a page, as GitHub makes them."""
    tokens = _parsed(page)
    seen: Counter[str] = Counter()
    names = set()
    for token, inside in itertools.pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in inside.children or [])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            names.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return names


def _parsed(page: str) -> list[Token]:
    return _MARKDOWN.parse((ROOT / page).read_text())


def _inline(page: str) -> Iterator[tuple[int, Token]]:
    for token in _parsed(page):
        for child in token.children or []:
            yield (token.map[0] + 1 if token.map else 0), child
