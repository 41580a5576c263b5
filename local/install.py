"""`python -m local.install FOLDER LOCK`: an environment that holds what a lock names.

It needs Python alone, with its standard library. uv takes a quarter of pip's CPU, but does not read pip's
configuration. So pip fetches uv, which shows that there is an index, uv is told what pip is configured with,
and pip does the work where uv fails nevertheless.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from local.pip_settings import for_uv

ROOT = Path(__file__).parents[1]
UV_LOCK = ROOT / "tests" / "requirements.txt"
# What pip says of an index that it cannot talk to, before its "No matching distribution found".
UNREACHABLE = re.compile(r"connection broken by|Max retries exceeded|Could not fetch URL")
NO_INDEX = """\
no package index can be reached. pip said:
{said}
Check the network; behind a proxy, set HTTPS_PROXY; for an index of your own, set PIP_INDEX_URL or pip's
configuration (`{python} -m pip config list` shows it). No package index can be reached."""
NO_VENV = """\
{python} cannot make virtual environments, as it has no module {module}. Install it
(Debian: apt install python{version}-venv; macOS: brew install python), then repeat the command."""


class InstallError(RuntimeError):
    """The environment is not complete: the text says why and what to do."""


class UnreachableError(InstallError):
    """No package index answers."""


def main() -> int:
    """Make or complete the environment; 0 when it has all of the lock."""
    parser = argparse.ArgumentParser(prog="python -m local.install", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the environment")
    parser.add_argument("lock", type=Path, help="requirements with hashes")
    arguments = parser.parse_args()
    try:
        install(arguments.folder, arguments.lock)
    except KeyboardInterrupt:
        print(f"\ninstall: stopped; {arguments.folder} is not complete, the next make begins it again")
        return 130
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    return 0


def install(folder: Path, lock: Path) -> None:
    """Install a lock into the environment in `folder`, which is made where none there works.

    Raises:
        InstallError: this Python has no venv, no index can be reached, or pip says why.
    """
    # A package that was written in part looks installed: an environment with this file is made from nothing.
    unfinished = folder / "unfinished"
    if unfinished.exists() or not _works(folder):
        _make(folder)
    print(f"Installing {len(_pins(lock))} packages of {lock} into {folder} …", flush=True)
    uv = _uv(folder)
    unfinished.touch()
    try:
        if uv is None or not _install_with_uv(uv, folder, lock):
            _pip(folder, "install", "--no-deps", "--require-hashes", f"--requirement={lock}", shown=True)
    except UnreachableError:
        unfinished.unlink()  # pip writes when it has downloaded all
        raise
    unfinished.unlink()


def _works(folder: Path) -> bool:
    """Return whether there is an environment whose Python starts and has pip."""
    try:
        asked = subprocess.run(
            [folder / "bin" / "python", "-c", "import pip"], check=False, capture_output=True
        )
    except OSError:
        return False
    return asked.returncode == 0


def _make(folder: Path) -> None:
    # Debian's Python comes without ensurepip, and would leave an environment that has no pip.
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise InstallError(NO_VENV.format(python=sys.executable, module=module, version=version))
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        raise InstallError(f"{folder} could not be made:\n{made.stdout}{made.stderr}")


def _uv(folder: Path) -> Path | None:
    """Return uv, fetched by pip where it is not there; None where the index has none for this machine."""
    for place in (folder, ROOT / ".venv"):
        if (place / "bin" / "uv").exists():
            return place / "bin" / "uv"
    print("First uv, which installs the rest …", flush=True)
    pin = folder / "uv.txt"
    pin.write_text(_pins(UV_LOCK)["uv"])
    try:
        _pip(
            folder, "install", "--quiet", "--no-deps", "--require-hashes", f"--requirement={pin}", shown=False
        )
    except UnreachableError:
        raise
    except InstallError:
        return None
    return folder / "bin" / "uv"


def _install_with_uv(uv: Path, folder: Path, lock: Path) -> bool:
    python = folder / "bin" / "python"
    configuration = subprocess.run(
        [python, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    )
    settings = for_uv(configuration.stdout)
    command = [str(uv), "pip", "install", f"--python={python}", "--no-deps", "--require-hashes"]
    if sys.dont_write_bytecode:  # elsewhere the first import writes it, of what is imported
        command.append("--compile-bytecode")
    command.append(f"--requirement={lock}")
    done = subprocess.run(command, check=False, env={**os.environ, **settings})
    if done.returncode != 0:
        print("uv could not; pip tries, which takes longer …", flush=True)
    return done.returncode == 0


def _pip(folder: Path, *arguments: str, shown: bool) -> None:
    """Run pip in the environment; raises InstallError, with what it said, where it fails."""
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", "--disable-pip-version-check", "--retries=2", *arguments]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            if shown:
                print(line, end="", flush=True)
    if pip.returncode != 0:
        said = "".join(line for line in lines if line.startswith(("ERROR", "WARNING"))) or "".join(lines)
        if UNREACHABLE.search(said):
            raise UnreachableError(NO_INDEX.format(python=python, said=said))
        raise InstallError(f"pip failed:\n{said}")


def _pins(lock: Path) -> dict[str, str]:
    """Return the requirements of a lock by name, each with its hashes."""
    pins = re.findall(r"^[\w.-]+==.*(?:\n .*)*", lock.read_text(), re.MULTILINE)
    return {pin.partition("==")[0]: pin for pin in pins}


if __name__ == "__main__":
    sys.exit(main())
