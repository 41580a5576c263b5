"""The part of Google that a Cloud Run instance asks for tokens, as a local server."""

import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

import msgspec

ACCOUNT = "bridge@p.iam.gserviceaccount.com"
TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"


class FakeGoogle:
    """A metadata server, and at /tokeninfo what says whether an access token was issued by it.

    https://cloud.google.com/compute/docs/metadata/querying-metadata

    Attributes:
        address: host:port.
        environment: What makes it a process's source of Application Default Credentials, and the only one.
        issued: The access tokens it gave, each good for `seconds`.
        asked_about: Those that somebody asked about at /tokeninfo.
    """

    def __init__(self, seconds: int) -> None:
        self.issued: list[str] = []
        self.asked_about: list[str] = []
        self._numbers = itertools.count()
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path == "/tokeninfo":
                    (token,) = parse_qs(url.query)["access_token"]
                    google.asked_about.append(token)
                    self._answer(200 if token in google.issued else 400, {})
                elif url.path != TOKEN_PATH:
                    self._answer(200, {"email": ACCOUNT, "scopes": [], "aliases": ["default"]})
                else:
                    token = f"ya29.do-not-print-{next(google._numbers)}"
                    google.issued.append(token)
                    self._answer(200, {"access_token": token, "expires_in": seconds, "token_type": "Bearer"})

            def _answer(self, code: int, body: dict[str, object]) -> None:
                self.send_response(code)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(msgspec.json.encode(body))

            def log_message(self, *_: object) -> None:
                """The test looks at the lists."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.environment = {
            "CLOUDSDK_CONFIG": "/nonexistent",
            "GCE_METADATA_HOST": self.address,
            "GCE_METADATA_IP": self.address,  # detection asks this one, be it a cloud's machine or not
            "GOOGLE_APPLICATION_CREDENTIALS": "",
        }

    def __enter__(self) -> Self:
        """Start it."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
