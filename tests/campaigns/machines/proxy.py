"""A TCP proxy between one host and a database: it passes bytes on, holds them back, or has no way at all.

    open      bytes pass
    stalled   bytes are taken and held, both ways, also those of new connections; `open` lets all of them on, so that
              statements of an old holder arrive after somebody else's
    cut       connections are reset, new ones refused

It runs in a thread of its own.  `upstream` may be changed at any time, as a load balancer's: new connections go there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self

CHUNK_BYTES: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: a close is a reset."""


class Proxy:
    """A context manager.  `upstream` is the path of a Unix socket."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._flows = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        self._do(self._open())

    def stall(self) -> None:
        self._do(self._stall())

    def cut(self) -> None:
        self._do(self._cut())

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        self._flows.set()

    async def _stall(self) -> None:
        await self._open()
        self._flows.clear()

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            reset(writer)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._flows.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            there, onward = await asyncio.open_unix_connection(self.upstream)
            self._writers.add(onward)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward))
                group.create_task(self._pump(there, writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            reset(writer)
        finally:
            for each in (writer, onward):
                if each is not None:
                    self._writers.discard(each)
                    each.close()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._flows.wait()
            writer.write(chunk)
            await writer.drain()
        await self._flows.wait()
        if writer.can_write_eof():
            writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side is told at once, and nothing more is delivered."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
