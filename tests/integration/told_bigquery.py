"""A BigQuery that answers as a test tells it, down to the bytes: errors, broken connections, late answers."""

import json
import socket
import threading
import time
from collections.abc import Callable

# Takes a connection with a whole request on it, and answers or does not.
Behaviour = Callable[[socket.socket], None]


class Server:
    """Does with each request what it is told, in turn, and `otherwise` takes everything."""

    def __init__(self) -> None:
        self.behaviours: list[Behaviour] = []
        self.otherwise = answer(200, b"{}")
        self.tables: list[str] = []  # of each request that came whole
        self.inserted: list[list[str]] = []  # their insertIds
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """End the server."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            file = connection.makefile("rb")
            while line := file.readline():
                _, path, _ = line.split()
                length = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                rows = json.loads(file.read(length))["rows"]
                self.tables.append(path.split(b"/")[-2].decode())
                self.inserted.append([row["insertId"] for row in rows])
                behave = self.behaviours.pop(0) if self.behaviours else self.otherwise
                if not rows:
                    behave = error(400, "invalid")
                try:
                    behave(connection)
                except OSError:
                    return
                if connection.fileno() < 0:
                    return


def answer(status: int, body: bytes) -> Behaviour:
    """Answer so."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    return behave


def error(status: int, reason: str) -> Behaviour:
    """Answer with an error of BigQuery's form."""
    body = {"error": {"code": status, "message": "why", "errors": [{"reason": reason, "message": "why"}]}}
    return answer(status, json.dumps(body).encode())


def reset(connection: socket.socket) -> None:
    """Close without an answer: the connection broke, or the answer was lost after the insert."""
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def cut_short(connection: socket.socket) -> None:
    """Send half an answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    reset(connection)


def silent(connection: socket.socket) -> None:
    """Send nothing until the other side has gone."""
    connection.recv(1)


def drip(head: bytes) -> Behaviour:
    """Send a byte now and then, without an end."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    return behave
