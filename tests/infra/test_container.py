"""bridge/Dockerfile without a container engine: its facts, and its steps run in a folder."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path, PurePosixPath

import pytest

from bridge.health import MAX_TURN_S, Status, serve
from local.processes import free_port

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "bridge" / "Dockerfile"
FOLDERS = re.compile(r"(?<![\w.-])(?=/(?:locks|dependencies|app)\b)")

Instruction = tuple[str, str]


def stages() -> tuple[list[Instruction], list[Instruction]]:
    """Return the instructions of the builder and of the final stage, each with its FROM."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    instructions: list[Instruction] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        keyword, _, rest = line.partition(" ")
        instructions.append((keyword, rest))
    builder, final = (at for at, (keyword, _) in enumerate(instructions) if keyword == "FROM")
    return instructions[builder:final], instructions[final:]


def one(keyword: str) -> str:
    """Return what the final stage says once."""
    (rest,) = [rest for of, rest in stages()[1] if of == keyword]
    return rest


def exec_form(text: str) -> list[str]:
    """Return the words of a command that no shell reads."""
    words = json.loads(text)
    assert isinstance(words, list)
    return words


def copied() -> dict[str, str]:
    """Return the files that the Dockerfile takes from the context, each with the folder it goes to."""
    found = {}
    for keyword, rest in [*stages()[0], *stages()[1]]:
        if keyword == "COPY" and not rest.startswith("--from="):
            *patterns, folder = rest.split()
            for pattern in patterns:
                names = [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob(pattern)]
                assert names, f"COPY {pattern}: no such file"
                found.update(dict.fromkeys(names, folder))
    return found


def let_through(name: str) -> bool:
    """Return whether .dockerignore leaves a file in the context: the last line that matches decides."""
    ignored = False
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = PurePosixPath(line.removeprefix("!")).parts
        # A line matches a file, or a folder with all that is in it.
        parts = PurePosixPath(name).parts[: len(pattern)]
        if len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern)):
            ignored = not line.startswith("!")
    return not ignored


class Image:
    """The image's folders under another root, made by the Dockerfile's own steps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = dict(word.split("=", 1) for word in shlex.split(self.inside(one("ENV"))))
        for name, folder in copied().items():
            if let_through(name):
                target = Path(self.inside(folder))
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, target)
        for keyword, rest in stages()[0]:
            if keyword == "RUN":
                self.build(shlex.split(self.inside(rest)))

    def inside(self, text: str) -> str:
        """Return a text with the image's own folders under the root."""
        return FOLDERS.sub(str(self.root), text)

    def build(self, words: Sequence[str]) -> None:
        """Run the commands of a RUN, with this Python."""
        pythons = {"pip": [sys.executable, "-m", "pip"], "python": [sys.executable]}
        for is_between, command in groupby(words, lambda word: word == "&&"):
            if not is_between:
                program, *arguments = command
                subprocess.run([*pythons[program], *arguments], check=True, timeout=150)

    def run(self, words: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the final stage with this Python, the image's variables and its packages alone."""
        return python(["-S", *words[1:]], self.env, cwd)


def python(arguments: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with these variables and no other."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the image as far as files go."""
    return Image(tmp_path_factory.mktemp("image"))


def test_hadolint_reports_nothing() -> None:
    """Hadolint has nothing to say of the Dockerfile, and nothing in it is exempt."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    hadolint = shutil.which("hadolint", path=path)
    assert hadolint, "hadolint is not installed"
    done = subprocess.run(
        [hadolint, "--disable-ignore-pragma", "--no-color", DOCKERFILE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_both_images_are_arguments_with_a_tag() -> None:
    """Cloud Build can pin both images by digest, and without it neither is whatever `latest` is."""
    assert [of[0][1].split()[0] for of in stages()] == ["${BUILDER_IMAGE}", "${RUNTIME_IMAGE}"]
    defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=\S+:(\S+)$", DOCKERFILE.read_text(), re.MULTILINE))
    assert defaults.keys() == {"BUILDER_IMAGE", "RUNTIME_IMAGE"}
    assert "latest" not in defaults.values()


def test_no_root_and_no_shell() -> None:
    """The container runs as a numeric user that is not root, and needs no shell."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", one("USER"))
    final = stages()[1]
    assert {"ADD", "CMD", "SHELL"}.isdisjoint(keyword for keyword, _ in [*stages()[0], *final])
    for keyword, rest in final:
        if keyword in {"RUN", "ENTRYPOINT"}:
            assert exec_form(rest)[0] == "/usr/bin/python3"
    assert exec_form(one("HEALTHCHECK").partition(" CMD ")[2])[0] == "/usr/bin/python3"


def test_the_context_is_what_is_copied() -> None:
    """The Dockerfile's files pass .dockerignore; secrets, tests, history and bytecode do not."""
    assert [name for name in copied() if not let_through(name)] == []
    others = [".env", ".git/config", ".venv/bin/python", "main.py", "local/kafka.py", "new.py", "new/x.py"]
    others += ["bridge/kafka.properties", "bridge/__pycache__/config.pyc", "bridge/new/x.py"]
    assert [name for name in others if let_through(name)] == []


def test_the_final_stage_takes_no_more_than_it_runs() -> None:
    """Dependencies and application come from the builder to where they were; lock and pip stay there."""
    copies = [rest.split() for keyword, rest in stages()[1] if keyword == "COPY"]
    assert copies == [["--from=builder", folder, folder] for folder in ("/dependencies", "/app")]


def test_the_image_imports_all_it_needs(image: Image, tmp_path: Path) -> None:
    """The build's own check passes with the copied files and the bridge's lock alone."""
    done = image.run(exec_form(one("RUN")), tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_starts_the_bridge(image: Image, tmp_path: Path) -> None:
    """The entrypoint reaches the settings: without any it names the first and ends with 2."""
    done = image.run(exec_form(one("ENTRYPOINT")), tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (2, "bridge: KAFKA_TOPICS is not set\n")


@contextmanager
def health(*, turned_s_ago: float) -> Iterator[int]:
    """Serve the health of a bridge whose loop turned then; yields the port."""
    times = iter([0.0])
    server = serve(Status(lambda: next(times, turned_s_ago)), 0)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def check_health(port: int, cwd: Path) -> int:
    """Return how the HEALTHCHECK's command ends."""
    command = exec_form(one("HEALTHCHECK").partition(" CMD ")[2])
    return python(command[1:], {"PORT": str(port)}, cwd).returncode


def test_a_bridge_that_turns_is_healthy(tmp_path: Path) -> None:
    """The health check passes where /healthz answers 200."""
    with health(turned_s_ago=1.0) as port:
        assert check_health(port, tmp_path) == 0


def test_a_bridge_that_hangs_is_unhealthy(tmp_path: Path) -> None:
    """The health check fails where /healthz answers 503."""
    with health(turned_s_ago=MAX_TURN_S + 1) as port:
        assert check_health(port, tmp_path) == 1


def test_no_bridge_is_unhealthy(tmp_path: Path) -> None:
    """The health check fails where nothing listens."""
    assert check_health(free_port(), tmp_path) == 1
