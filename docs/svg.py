"""Frames of a terminal as one SVG: real text, moved by CSS, on a dark ground of its own for any page."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

# Of a 14 px font; what a reader's own font takes is stretched to it.
CELL_WIDTH, LINE_HEIGHT, BASELINE = 8.4, 18, 13.5
MARGIN = 16
NAMESPACE = "http://www.w3.org/2000/svg"
GROUND, INK = "#0d1117", "#e6edf3"
COLORS = {
    "black": "#484f58",
    "red": "#ff7b72",
    "green": "#3fb950",
    "brown": "#d29922",
    "blue": "#58a6ff",
    "magenta": "#bc8cff",
    "cyan": "#39c5cf",
    "white": "#b1bac4",
    "brightblack": "#8b949e",
    "brightred": "#ffa198",
    "brightgreen": "#56d364",
    "brightbrown": "#e3b341",
    "brightblue": "#79c0ff",
    "brightmagenta": "#d2a8ff",
    "brightcyan": "#56d4dd",
    "brightwhite": "#ffffff",
}


@dataclass(frozen=True)
class Style:
    """How characters look; colors are names of COLORS, six hexadecimal digits, or `default`."""

    color: str = "default"
    ground: str = "default"
    bold: bool = False
    italic: bool = False
    underlined: bool = False

    def css(self) -> str:
        """Return the declarations that differ from plain text."""
        parts = [
            "" if self.color == "default" else f"fill:{COLORS.get(self.color, f'#{self.color}')}",
            "font-weight:bold" if self.bold else "",
            "font-style:italic" if self.italic else "",
            "text-decoration:underline" if self.underlined else "",
        ]
        return ";".join(filter(None, parts))

    def fill(self) -> str:
        """Return the color of the ground."""
        return COLORS.get(self.ground, f"#{self.ground}")


@dataclass(frozen=True)
class Run:
    """Characters of one style, from a column on."""

    column: int
    text: str
    style: Style

    @property
    def x(self) -> float:
        """Its left edge."""
        return self.column * CELL_WIDTH

    @property
    def width(self) -> float:
        """Its width."""
        return len(self.text) * CELL_WIDTH


Row = tuple[Run, ...]


@dataclass(frozen=True)
class Frame:
    """What the screen shows from a time on, in seconds since the start: its rows from the top."""

    at: float
    rows: tuple[Row, ...]


def to_svg(frames: Sequence[Frame], seconds: float, columns: int, lines: int) -> str:
    """Return the picture, which begins again after so many seconds."""
    width, height = columns * CELL_WIDTH, lines * LINE_HEIGHT
    # Most rows are the same in many frames, so each is drawn once and used by name.
    rows = {
        row: f"r{i}"
        for i, row in enumerate(dict.fromkeys(row for frame in frames for row in frame.rows if row))
    }
    styles = {
        style: f"s{i}" for i, style in enumerate(dict.fromkeys(run.style for row in rows for run in row))
    }
    steps = (
        f"{100 * frame.at / seconds:.3f}%{{transform:translateY({-i * height}px)}}"
        for i, frame in enumerate(frames)
    )
    uses = (
        f'<use href="#{rows[row]}" y="{i * height + line * LINE_HEIGHT}"/>'
        for i, frame in enumerate(frames)
        for line, row in enumerate(frame.rows)
        if row
    )
    return "\n".join(
        [
            f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {width + 2 * MARGIN:g} {height + 2 * MARGIN}">',
            "<style>",
            f"text{{white-space:pre;fill:{INK};font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,",
            '"DejaVu Sans Mono",monospace}',
            *(f".{name}{{{style.css()}}}" for style, name in styles.items() if style.css()),
            f".strip{{animation:strip {seconds:.1f}s step-end infinite}}",
            "@keyframes strip{",
            *steps,
            "}",
            "</style>",
            "<defs>",
            *(f'<g id="{name}">{_drawn(row, styles)}</g>' for row, name in rows.items()),
            "</defs>",
            f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>',
            f'<svg x="{MARGIN}" y="{MARGIN}" width="{width:g}" height="{height}"><g class="strip">',
            *uses,
            "</g></svg>",
            "</svg>",
            "",
        ]
    )


def _drawn(row: Row, styles: dict[Style, str]) -> str:
    grounds = (
        f'<rect x="{run.x:g}" width="{run.width:g}" height="{LINE_HEIGHT}" fill="{run.style.fill()}"/>'
        for run in row
        if run.style.ground != "default"
    )
    texts = (
        f'<text x="{run.x:g}" y="{BASELINE}" textLength="{run.width:g}" '
        f'class="{styles[run.style]}">{escape(run.text)}</text>'
        for run in row
        if run.text.strip()
    )
    return "".join([*grounds, *texts])
