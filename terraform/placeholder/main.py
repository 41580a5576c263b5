"""The function's first source: Terraform makes the function with it, before any code is deployed.

It refuses every message, so that none is acknowledged unwritten: Pub/Sub keeps them for the code that comes.
"""  # noqa: INP001 - a source of its own, no package

import flask
import functions_framework


@functions_framework.http
def handle(_: flask.Request) -> flask.Response:
    """Answer 503: to be sent it again."""
    return flask.Response(status=503, headers={"Retry-After": "10"})
