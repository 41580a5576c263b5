"""pip's configuration as uv is told it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.pip_settings import for_uv


@pytest.mark.parametrize(
    ("file", "environment", "settings"),
    [
        ("", {}, {"UV_SYSTEM_CERTS": "1"}),
        (
            "[global]\nindex-url = https://u:p%40@a/simple\n",
            {},
            {"UV_DEFAULT_INDEX": "https://u:p%40@a/simple"},
        ),
        (
            "[install]\nindex-url = https://b/simple\n[global]\nindex-url = https://a/simple\n",
            {},
            {"UV_DEFAULT_INDEX": "https://b/simple"},
        ),
        (
            "[global]\nindex-url = https://a/simple\n",
            {"PIP_INDEX_URL": "https://c/simple"},
            {"UV_DEFAULT_INDEX": "https://c/simple"},
        ),
        (
            "[global]\nextra-index-url =\n  https://a/simple\n  https://b/simple\ntrusted-host = a b\n",
            {},
            {
                "UV_INDEX": "https://a/simple https://b/simple",
                "UV_INDEX_STRATEGY": "unsafe-best-match",
                "UV_INSECURE_HOST": "a b",
            },
        ),
        (
            "[global]\nno-index = yes\n",
            {"PIP_FIND_LINKS": "/wheels https://a/wheels"},
            {"UV_NO_INDEX": "1", "UV_FIND_LINKS": "/wheels,https://a/wheels"},
        ),
        (
            "[global]\nproxy = http://proxy:3128\ncert = /own.pem\ntimeout = 5\n",
            {},
            {
                "HTTPS_PROXY": "http://proxy:3128",
                "HTTP_PROXY": "http://proxy:3128",
                "SSL_CERT_FILE": "/own.pem",
            },
        ),
    ],
    ids=["nothing", "file", "section", "environment", "several", "wheels", "proxy"],
)
def test_uv_is_told_what_pip_uses(
    file: str, environment: dict[str, str], settings: dict[str, str], tmp_path: Path
) -> None:
    """What pip says it is configured with, by a file or by variables, is in uv's variables."""
    configuration = tmp_path / "pip.conf"
    configuration.write_text(file)
    known = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={**known, **environment, "PIP_CONFIG_FILE": str(configuration), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # This machine's own configuration may add to it.
    assert settings.items() <= for_uv(listed).items()
