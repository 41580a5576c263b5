"""terraform/placeholder under functions-framework, as Terraform deploys it."""

import json
import re
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from local.processes import Process, accepts, free_port

REPOSITORY = Path(__file__).parents[2]
PLACEHOLDER = REPOSITORY / "terraform" / "placeholder"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve the placeholder; yields the port."""
    port = free_port()
    source = PLACEHOLDER / "main.py"
    framework = Path(sys.executable).with_name("functions-framework")
    command = [str(framework), "--target=handle", f"--source={source}", f"--port={port}"]
    # Its bytecode would be uploaded with it.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    function = Process("the placeholder", command, tmp_path / "placeholder.log", env=env, cwd=tmp_path)
    try:
        function.await_ready(lambda: accepts(port))
        yield port
    finally:
        function.stop()


def test_nothing_is_acknowledged(port: int) -> None:
    """A push gets 503 with Retry-After and no body, so that Pub/Sub keeps the message."""
    message = {"data": "c2VjcmV0", "messageId": "1", "attributes": {"env": "prod"}}
    body = json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"})
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.read() == b""


def test_the_framework_is_the_functions() -> None:
    """The placeholder runs on the functions-framework that the function's lock has."""
    pin = re.compile(r"^functions-framework==\S+", re.MULTILINE)
    lock = pin.findall((REPOSITORY / "requirements.txt").read_text())
    assert (PLACEHOLDER / "requirements.txt").read_text().split() == lock
