"""What gcloud uploads of the repository, and that it is enough."""

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from local.processes import Process, accepts, free_port

REPOSITORY = Path(__file__).parents[2]
MODULES = {"main.py", "push.py", "envelope.py", "rejection.py", "logs.py"}
TOP_LEVEL = {*MODULES, "requirements.txt", "streams.yaml"}
IN_FOLDERS = [
    "decoder/*.py",
    "decoder/schemas/*/*.avsc",
    "decoder/schemas/*/types/*.avsc",
    "sink/*.py",
    "sink/tables/*",
]
RUNTIME = "python313"
# The services that `gcloud functions deploy` asks, by the names of its properties.
ASKED = ["CLOUDFUNCTIONS", "SERVICEUSAGE", "CLOUDBUILD"]
# The oldest that pyproject.toml promises, and that of the function and the container.
PYTHONS = ["3.11", "3.13"]


def tool(name: str) -> str:
    """Return the path of a program, beside this Python or on the PATH."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path, f"{name} is not installed"
    return path


def run(command: Sequence[str], **env: str) -> str:
    """Return what a command prints; fails with its errors where it fails."""
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def listed(folder: Path, config: Path) -> set[str]:
    """Return what gcloud says that it would upload of a folder."""
    command = [tool("gcloud"), "meta", "list-files-for-upload", str(folder)]
    return set(run(command, CLOUDSDK_CONFIG=str(config)).splitlines())


@contextmanager
def cloud_functions() -> Iterator[tuple[str, list[bytes]]]:
    """Serve what `gcloud functions deploy` asks until it has uploaded; yields the URL and the uploads."""
    uploads: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            runtime = {"name": RUNTIME, "stage": "GA", "environment": "GEN_2"}
            self.answer({"runtimes": [runtime]} if "/runtimes" in self.path else None)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({"uploadUrl": url} if "generateUploadUrl" in self.path else None)

        def do_PUT(self) -> None:
            uploads.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer({})

        def answer(self, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Its requests are not worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield url, uploads
    finally:
        server.shutdown()
        server.server_close()


def deploy(folder: Path, config: Path) -> ZipFile:
    """Return what `gcloud functions deploy` uploads of a folder, with no account and no Google."""
    command = [tool("gcloud"), "functions", "deploy", "handle", "--gen2", f"--source={folder}"]
    command += ["--entry-point=handle", "--trigger-http", f"--runtime={RUNTIME}", "--region=europe-west1"]
    with cloud_functions() as (url, uploads):
        env = os.environ | {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}": url for api in ASKED}
        env |= {"CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true", "CLOUDSDK_CORE_DISABLE_PROMPTS": "true"}
        env |= {"CLOUDSDK_CONFIG": str(config), "CLOUDSDK_CORE_PROJECT": "nowhere"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)
    # gcloud fails: after the upload, the function itself is not made.
    assert len(uploads) == 1, done.stderr
    return ZipFile(BytesIO(uploads[0]))


def files(upload: ZipFile) -> set[str]:
    """Return the names of an upload's files."""
    return {member.filename for member in upload.infolist() if not member.is_dir()}


def copy(names: Iterable[str], folder: Path) -> None:
    """Copy files of the repository to where they are in it."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, folder / name)


def touch(names: Iterable[str], folder: Path) -> None:
    """Make empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def import_from(python: Sequence[str], folders: Sequence[Path], statement: str) -> None:
    """Import with these folders: no variable, working folder or user's packages count."""
    code = f"import sys; sys.path += {[str(folder) for folder in folders]}; {statement}"
    run(["env", "-i", *python, "-I", "-B", "-c", code])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what `gcloud functions deploy --source=.` uploads and nothing else."""
    folder = tmp_path_factory.mktemp("source")
    deploy(REPOSITORY, tmp_path_factory.mktemp("gcloud")).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def programs(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a new environment that holds the uploaded lock's packages and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", str(folder)])
    programs = folder / "bin"
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--require-hashes", f"--requirement={source / 'requirements.txt'}"])
    run([*pip, "check"])
    return programs


@pytest.mark.needs("gcloud")
def test_the_function_and_nothing_else_is_uploaded(tmp_path: Path) -> None:
    """The upload is the function's modules, lock, streams, schemas and tables: no test, tool or document."""
    in_folders = {str(path.relative_to(REPOSITORY)) for glob in IN_FOLDERS for path in REPOSITORY.glob(glob)}
    assert any(name.endswith(".avsc") for name in in_folders)
    assert files(deploy(REPOSITORY, tmp_path)) == TOP_LEVEL | in_folders
    assert listed(REPOSITORY, tmp_path) == TOP_LEVEL | in_folders


@pytest.mark.needs("gcloud")
def test_what_nobody_named_is_not_uploaded(source: Path, tmp_path: Path) -> None:
    """A new file stays here, unless it is a schema or a shared type: a key, a payload, bytecode, a folder."""
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    copy([*names, ".gcloudignore"], tmp_path)
    shared = {"decoder/schemas/types/Money.avsc", "decoder/schemas/a_topic/types/Address.avsc"}
    touch(shared, tmp_path)
    touch([".env", "key.json", "new.py", "new/main.py", ".git/main.py", "decoder/.env"], tmp_path)
    touch(["decoder/payload.bin", "decoder/new/main.py", "decoder/__pycache__/avro.pyc"], tmp_path)
    touch(["decoder/schemas/identity.json", "decoder/schemas/a_topic/types/payload.bin"], tmp_path)
    touch(["decoder/schemas/a_topic/payload.bin", "sink/new/table.json", "sink/tables/rows.csv"], tmp_path)
    assert files(deploy(tmp_path, tmp_path.with_name("gcloud"))) == names | shared


@pytest.mark.needs("gcloud")
def test_a_build_is_given_the_repository(tmp_path: Path) -> None:
    """`gcloud builds submit --ignore-file=.gcloudignore-build` uploads all but history and leftovers."""
    # list-files-for-upload has no --ignore-file.
    shutil.copyfile(REPOSITORY / ".gcloudignore-build", tmp_path / ".gcloudignore")
    copy([".gitignore"], tmp_path)
    kept = {"main.py", "bridge/Dockerfile", "tests/unit/test_main.py", ".dockerignore", ".gcloudignore-build"}
    touch([*kept, ".git/config", ".venv/bin/python", ".local/log", "decoder/__pycache__/avro.pyc"], tmp_path)
    assert listed(tmp_path, tmp_path.with_name("gcloud")) == {*kept, ".gcloudignore", ".gitignore"}


@pytest.mark.needs("gcloud")
def test_what_is_uploaded_imports_with_its_lock_alone(source: Path, programs: Path) -> None:
    """The uploaded files and the locked packages are all that `main.handle` needs."""
    import_from([str(programs / "python")], [source], "import main; assert callable(main.handle)")


@pytest.mark.needs("gcloud")
def test_what_is_uploaded_serves(source: Path, programs: Path, tmp_path: Path) -> None:
    """`functions-framework --target=handle` serves the uploaded files: a GET is no push and gets 405."""
    port = free_port()
    command = ["env", "-i", str(programs / "functions-framework"), "--target=handle", f"--port={port}"]
    function = Process("the function", command, tmp_path / "function.log", cwd=source)
    try:
        function.await_ready(lambda: accepts(port))
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    finally:
        function.stop()


def interpreter(version: str) -> str | None:
    """Return a Python of this version, also one that pyenv has and nobody activated; None without one."""
    candidates = [sys.executable, shutil.which(f"python{version}")]
    if pyenv := shutil.which("pyenv"):
        versions = Path(run([pyenv, "root"]).strip()) / "versions"
        candidates += map(str, versions.glob(f"{version}.*[0-9]/bin/python"))
    question = ["-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    for python in filter(None, candidates):
        # Not run(): pyenv's python3.x is there and fails where that version is not activated.
        answer = subprocess.run([python, *question], capture_output=True, text=True, timeout=30, check=False)
        if answer.stdout.strip() == version:
            return python
    return None


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "statement"),
    [
        ("requirements.txt", "import main; assert callable(main.handle)"),
        ("bridge/requirements.txt", "import bridge.__main__"),
    ],
    ids=["function", "bridge"],
)
def test_a_lock_has_wheels_that_import(version: str, lock: str, statement: str, tmp_path: Path) -> None:
    """A lock installs from wheels with its hashes, and the code imports with it, on each Python."""
    python = interpreter(version)
    install = [tool("uv"), "pip", "install", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    install += [f"--target={tmp_path}", f"--requirement={REPOSITORY / lock}"]
    if python is None:
        warnings.warn(f"no Python {version} here: its wheels are looked up, not imported", stacklevel=1)
        run([*install, "--dry-run", f"--python-version={version}"])
        return
    run([*install, f"--python={python}"])
    # -S: without the packages that this Python has of its own.
    import_from([python, "-S"], [tmp_path, REPOSITORY], statement)
