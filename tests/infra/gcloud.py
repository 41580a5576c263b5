"""Command lines that the real gcloud parses, up to where it needs credentials."""

import os
import shlex
import subprocess
from pathlib import Path

UNKNOWN = "--no-such-flag"


def unparsed(command: str, folder: Path, cwd: Path) -> str:
    """Return what gcloud says against a command, empty where it would run it; `folder` has its settings.

    A command that logs in needs no credentials: it is given one flag that there is not, which must be all
    that is wrong with it.
    """
    words = shlex.split(command.replace("$(git rev-parse HEAD)", "0123abc"))
    logs_in = words[1:2] == ["auth"]
    done = subprocess.run(
        [*words, UNKNOWN if logs_in else "--project=my-project"],
        cwd=cwd,
        env={**os.environ, "CLOUDSDK_CONFIG": str(folder), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if logs_in:
        fine = f"unrecognized arguments: {UNKNOWN}" in done.stderr
    else:
        fine = "gcloud auth login" in done.stderr or (words[1] == "config" and done.returncode == 0)
    return "" if fine else done.stderr or "gcloud said nothing"
