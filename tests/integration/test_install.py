"""`python -m local.install`: environments from a lock, with and without an index."""

import base64
import hashlib
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import install
from local.install import InstallError, UnreachableError

NOWHERE = "http://127.0.0.1:9/simple"
Asked = list[tuple[str, str]]


def wheel(folder: Path, name: str) -> Path:
    """Write a package of one module, and return its file."""
    information = f"{name}-1.dist-info"
    files = {
        f"{name}.py": "ANSWER = 42\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {at: hashlib.sha256(text.encode()).digest() for at, text in files.items()}
    records = [
        f"{at},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(files[at])}"
        for at, digest in hashes.items()
    ]
    files[f"{information}/RECORD"] = "\n".join([*records, f"{information}/RECORD,,", ""])
    folder.mkdir(parents=True)
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for at, text in files.items():
            archive.writestr(zipfile.ZipInfo(at), text)  # of no date, so that the bytes are the same
    return path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Asked]]:
    """Serve an index of the package `tiny`; gives its URL, and who asked it for what."""
    asked: Asked = []
    file = wheel(tmp_path / "index" / "simple" / "tiny", "tiny")
    file.with_name("index.html").write_text(f'<a href="{file.name}">{file.name}</a>')

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append((self.headers.get("User-Agent", ""), self.path))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "index")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock of that package."""
    digest = hashlib.sha256(wheel(tmp_path / "again", "tiny").read_bytes()).hexdigest()
    path = tmp_path / "requirements.txt"
    path.write_text(f"tiny==1 \\\n    --hash=sha256:{digest}\n    # via nothing\n")
    return path


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what this machine is configured with, and its caches; fail soon."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with pip and nothing else, which takes seconds."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def folder(empty: Path, tmp_path: Path) -> Path:
    """Return an environment with pip and nothing else."""
    return shutil.copytree(empty, tmp_path / "venv", symlinks=True)


def has_tiny(folder: Path) -> bool:
    """Return whether the package is in the environment."""
    return bool(list(folder.glob("lib/python*/site-packages/tiny.py")))


def test_uv_asks_the_index_that_pip_is_configured_with(
    index: tuple[str, Asked], lock: Path, folder: Path, tmp_path: Path
) -> None:
    """An index that pip's configuration file alone names is enough, and uv is who asks it."""
    url, asked = index
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {url}\n")
    install.install(folder, lock)
    assert has_tiny(folder)
    assert {agent.partition("/")[0] for agent, _ in asked} == {"uv"}


def test_pip_installs_where_uv_fails(
    index: tuple[str, Asked], lock: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps uv from it, pip's own way is still tried."""
    url, asked = index
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("UV_OFFLINE", "1")
    install.install(folder, lock)
    assert has_tiny(folder)
    assert {agent.partition("/")[0] for agent, _ in asked} == {"pip"}


def test_no_index_is_said_before_and_after_what_pip_says(
    lock: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an index the first line says so, and the last ones what to do; pip's own error is between."""
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    with pytest.raises(UnreachableError) as caught:
        install.install(folder, lock)
    first, _, rest = str(caught.value).partition("\n")
    assert first == "no package index can be reached. pip said:"
    assert "ERROR: No matching distribution found for tiny==1" in rest
    assert "PIP_INDEX_URL" in rest
    assert rest.endswith("No package index can be reached.")
    assert not (folder / "unfinished").exists()


@pytest.mark.parametrize("left", ["interrupted", "without pip"])
def test_half_an_environment_is_made_from_nothing(
    left: str, index: tuple[str, Asked], lock: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stopped installation wrote is not taken for installed; Debian's venv may leave no pip."""
    monkeypatch.setenv("PIP_INDEX_URL", index[0])
    (packages,) = folder.glob("lib/python*/site-packages")
    if left == "interrupted":
        with zipfile.ZipFile(next(lock.parent.glob("again/*.whl"))) as archive:
            archive.extractall(packages)
        (packages / "tiny.py").write_text("half")
        (folder / "unfinished").touch()
    else:
        shutil.rmtree(packages / "pip")
    install.install(folder, lock)
    assert (packages / "tiny.py").read_text() == "ANSWER = 42\n"
    assert (packages / "pip").is_dir()
    assert not (folder / "unfinished").exists()


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_names_the_package(
    module: str, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's python3 alone makes no environments: the error names the package to install."""
    monkeypatch.setitem(sys.modules, module, None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(
        InstallError, match=rf"no module {module}\. Install it\n\(Debian: apt install python{version}-venv"
    ):
        install.install(tmp_path / "venv", lock)
