"""A TCP proxy that breaks connections on demand: what a network does to a client on a bad day."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine

CHUNK_BYTES = 65_536
ANSWER_WITHIN_S = 10.0
# What a client takes for connected may still have to be accepted, which takes the loop a few rounds.
ACCEPTED_WITHIN_S = 0.02
# On, with a linger time of 0 s: closing sends a reset.
LINGER_NOT = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to `address` on to `upstream` (both "host:port"), in a thread of its own.

    It listens on `port` of 127.0.0.1, by default on any free one. When a method has returned, what it says
    holds. Methods may be called from any thread.
    """

    def __init__(self, upstream: str, port: int = 0) -> None:
        host, _, upstream_port = upstream.rpartition(":")
        self._upstream = (host, int(upstream_port))
        self._port = port
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._forwarding = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        try:
            self.restore()
        except OSError:
            self._end()
            raise

    @property
    def address(self) -> str:
        """Where it listens, also while it refuses connections."""
        return f"127.0.0.1:{self._port}"

    def reset(self) -> None:
        """Reset the connections there are, on both sides; new ones go on as before."""
        self._run(self._reset())

    def refuse(self) -> None:
        """Refuse new connections until `blackhole` or `restore`; those there are stay as they are."""
        self._run(self._refuse())

    def blackhole(self) -> None:
        """Accept and keep connections, but forward nothing, not even their end, until `restore`."""
        self._run(self._open(forwarding=False))

    def forget(self) -> None:
        """Carry nothing more of the connections there are, for ever and without a word; new ones go on."""
        self._run(self._forget())

    def restore(self) -> None:
        """Forward again, what was held back too."""
        self._run(self._open(forwarding=True))

    def stop(self) -> None:
        """Reset all connections and end."""
        self._run(self._stop())
        self._end()

    async def _open(self, *, forwarding: bool) -> None:
        if forwarding:
            self._forwarding.set()
        else:
            self._forwarding.clear()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self._port)
            self._port = self._listener.sockets[0].getsockname()[1]

    async def _forget(self) -> None:
        await asyncio.sleep(ACCEPTED_WITHIN_S)
        self._forwarding.clear()
        self._forwarding = asyncio.Event()
        self._forwarding.set()

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _reset(self) -> None:
        await asyncio.sleep(ACCEPTED_WITHIN_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections):  # whose task had not begun yet
            self._abort(connection)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round

    async def _stop(self) -> None:
        await self._refuse()
        await self._reset()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        task = self._loop.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection both ways until both sides have ended it, or one was reset."""
        opened = [writer]
        pumps: list[asyncio.Task[None]] = []
        forwarding = self._forwarding
        try:
            await forwarding.wait()
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
            opened.append(upstream_writer)
            self._connections.add(upstream_writer)
            pumps += [
                self._loop.create_task(self._pump(reader, upstream_writer, forwarding)),
                self._loop.create_task(self._pump(upstream_reader, writer, forwarding)),
            ]
            await asyncio.gather(*pumps)
            for each in opened:
                each.close()
                self._connections.discard(each)
        except OSError:
            pass  # the side at which it happened is gone; below, the other one learns of it
        finally:
            for pump in pumps:
                pump.cancel()
            for each in opened:
                if each in self._connections:
                    self._abort(each)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forwarding: asyncio.Event
    ) -> None:
        while True:
            try:
                data = await reader.read(CHUNK_BYTES)
            except OSError:
                await forwarding.wait()
                raise
            await forwarding.wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    def _abort(self, connection: asyncio.StreamWriter) -> None:
        self._connections.discard(connection)
        with contextlib.suppress(OSError):  # closed already
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        connection.transport.abort()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_WITHIN_S)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_WITHIN_S)
        self._loop.close()
