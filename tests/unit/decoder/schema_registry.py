"""A schema registry over real HTTP, which answers as Confluent's does.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

NOT_FOUND = {
    "ids": (40403, "Schema not found"),
    "guids": (40403, "Schema not found"),
    "subjects": (40402, "Version not found."),
}


class SchemaRegistry:
    """`asked` has the paths of all requests; until `hold` is set, none of `held` is answered.

    With `status` every answer is that; `authorization` is what it asks for.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = threading.Event()
        self.status = 200
        self.authorization: str | None = None
        self.held: set[str] = set()
        self.hold = threading.Event()
        self._schemas: dict[str, dict[str, object]] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the server."""
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def add(
        self,
        schema: object,
        *,
        schema_id: int,
        guid: str = "",
        subject: str = "",
        references: tuple[tuple[str, str, int], ...] = (),
    ) -> None:
        """Register a schema, as version 1 of its subject; a reference is (name, subject, version)."""
        answer: dict[str, object] = {"schema": json.dumps(schema)}
        if references:
            names = ("name", "subject", "version")
            answer["references"] = [dict(zip(names, each, strict=True)) for each in references]
        self._schemas[f"/schemas/ids/{schema_id}"] = answer
        self._schemas[f"/schemas/guids/{guid}"] = {**answer, "guid": guid}
        self._schemas[f"/subjects/{subject}/versions/1"] = {
            "subject": subject,
            "version": 1,
            "id": schema_id,
            "guid": guid,
            "schemaType": "AVRO",
            **answer,
        }

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        self.asked.append(request.path)
        self.was_asked.set()
        if request.path in self.held:
            self.hold.wait()
        path = unquote(urlsplit(request.path).path)
        status, body = self.status, self._schemas.get(path)
        if self.authorization not in (None, request.headers.get("Authorization")):
            status, body = 401, {"error_code": 401, "message": "Unauthorized"}
        elif status == 200 and body is None:
            code, said = NOT_FOUND[path.split("/")[2 if path.startswith("/schemas") else 1]]
            status, body = 404, {"error_code": code, "message": said}
        content = json.dumps(body).encode()
        try:
            request.send_response(status)
            request.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except ConnectionError:
            pass  # it did not wait for this
