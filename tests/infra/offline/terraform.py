"""The terraform program with offline providers; nothing is downloaded and nothing is made."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.infra.offline.provider import Provider, serve
from tests.infra.offline.schema import load

PROVIDERS = ("archive", "google", "time")


@dataclass(frozen=True)
class Terraform:
    """The program in a folder of .tf files, initialised."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command; the caller looks at the exit status."""
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """Return what a command prints; fails with its errors."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"terraform {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def terraform(folder: Path) -> Iterator[Terraform]:
    """Serve the providers and initialise a copy of the folder, in which the state is a file."""
    with tempfile.TemporaryDirectory(prefix="tf-") as scratch:
        servers, reattach = [], {}
        for name in PROVIDERS:
            socket = Path(scratch) / f"{name}.sock"
            servers.append(serve(Provider(load(name)), socket))
            reattach[f"registry.terraform.io/hashicorp/{name}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
        environment = {
            "TF_REATTACH_PROVIDERS": json.dumps(reattach),
            "TF_DATA_DIR": f"{scratch}/data",
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "CHECKPOINT_DISABLE": "1",
        }
        copy = Path(scratch) / "repository" / folder.name
        shutil.copytree(
            folder, copy, ignore=shutil.ignore_patterns(".terraform*", "__pycache__", "*.tfstate*")
        )
        (copy / "local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        try:
            started = Terraform(copy, environment)
            started.must("init", "-input=false")
            yield started
        finally:
            for server in servers:
                server.stop(grace=None)
