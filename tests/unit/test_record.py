"""docs/record.py: the moving picture of what a command shows."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from docs.svg import NAMESPACE, Frame, Run, Style, to_svg

ROOT = Path(__file__).parents[2]
SVG = f"{{{NAMESPACE}}}"
LIVE = f"""
import time
from rich.console import Console
from rich.live import Live
from rich.table import Table

console = Console()
console.print("logs in {ROOT}/.local <&>", soft_wrap=True, style="dim")
with Live(console=console, auto_refresh=False) as live:
    for count in range(0, 50, 10):
        table = Table("rows", str(console.width))
        table.add_row(str(count), "[bold red]alarm[/]")
        live.update(table, refresh=True)
        time.sleep(0.3)
"""


def frames(picture: ET.Element) -> list[str]:
    """Return the text of each frame; the strip moves by a frame's height at a time."""
    rows = {
        f"#{group.get('id')}": "".join(text.text or "" for text in group)
        for group in picture.iterfind(f"{SVG}defs/{SVG}g")
    }
    window = picture.find(f"{SVG}svg")
    assert window is not None
    shown: dict[int, list[str]] = {}
    for use in window.iter(f"{SVG}use"):
        number = int(use.get("y", "")) // int(window.get("height", ""))
        shown.setdefault(number, []).append(rows[use.get("href", "")])
    return ["\n".join(shown[number]) for number in sorted(shown)]


def record(folder: Path, *arguments: str) -> tuple[str, list[str]]:
    """Record a command, and return the picture and its frames' text."""
    file = folder / "picture.svg"
    command = [sys.executable, "-m", "docs.record", *arguments[:-1], str(file), *arguments[-1].split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    picture = file.read_text()
    return picture, frames(ET.fromstring(picture))  # noqa: S314 - just written


def test_a_live_display_is_a_picture_of_several_frames(tmp_path: Path) -> None:
    """What rich draws is there frame by frame, in color, 110 columns wide, without this machine's paths."""
    (tmp_path / "draw.py").write_text(LIVE)
    picture, shown = record(
        tmp_path, "--seconds", "60", "--typed", "make run", f"{sys.executable} {tmp_path / 'draw.py'}"
    )
    assert [re.findall(r"│\s(\d+)\s", frame)[-1:] for frame in shown if "│" in frame] == [
        [str(count)] for count in range(0, 50, 10)
    ]
    assert shown[0] == "$ make run"
    assert "110" in shown[-1]
    assert "~/kafka-to-bigquery/.local" in shown[-1]
    assert "<&>" in shown[-1]
    assert str(ROOT) not in picture
    assert "fill:#ff7b72;font-weight:bold" in picture
    assert len(re.findall(r"%\{transform:translateY", picture)) == len(shown)
    assert len(picture.encode()) <= 500_000


def test_ctrl_c_ends_what_does_not_end_itself(tmp_path: Path) -> None:
    """After its seconds the command is sent Ctrl-C, and what it then says is the last frame."""
    script = tmp_path / "wait.sh"
    script.write_text("trap 'echo a verdict; exit 1' INT\necho started\nwhile :; do sleep 0.1; done\n")
    _, shown = record(tmp_path, "--seconds", "3", f"sh {script}")
    assert "started" in shown[-2]
    assert shown[-1].endswith("a verdict")


def test_a_frame_is_shown_from_its_time_on() -> None:
    """The steps of the animation are at the frames' parts of the whole, and a row is drawn once."""
    row, other = (Run(0, "a", Style()),), (Run(3, "b", Style(ground="red")),)
    picture = to_svg([Frame(0.0, (row, ())), Frame(2.5, (row, other))], 10.0, columns=80, lines=2)
    assert re.findall(r"([\d.]+)%\{transform:translateY\((-?\d+)px\)\}", picture) == [
        ("0.000", "0"),
        ("25.000", "-36"),
    ]
    assert picture.count("<g id=") == 2
    assert picture.count('<use href="#r0"') == 2
    assert '<rect x="25.2" width="8.4" height="18" fill="#ff7b72"/>' in picture
