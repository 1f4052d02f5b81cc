"""A server that does to a connection exactly what a script says: plain blocking sockets, one thread a connection.

Blocking calls, and not an event loop, so that "reset before reading" is what happens, and so that it shares nothing
with what it tests.  A script gets a `Peer` and may read, answer in any bytes, close by FIN or by reset, or do nothing.
What came in and what was "applied" is kept in `FaultServer` for the test to compare with what the client claims.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

PATIENCE_S = 5.0


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: FaultServer, sock: socket.socket) -> None:
        self._server = server
        self.sock = sock

    def wait_readable(self) -> None:
        """Until the client has sent something, which stays unread."""
        select.select([self.sock], [], [], PATIENCE_S)

    def read(self, most: int) -> bytes:
        data = self.sock.recv(most)
        self._server.received += len(data)
        return data

    def read_request(self) -> bytes:
        """One whole request, noted by the server; b"" at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := self.read(65_536))
            if not more:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += (more := self.read(1 << 20))
            if not more:
                return b""
        self._server.requests.append(head + b"\r\n\r\n" + body)
        return body

    def apply(self) -> None:
        """The request has its effect."""
        self._server.applied += 1

    def send(self, data: bytes, *, slices: int = 0) -> None:
        for start in range(0, len(data), slices or len(data)):
            self.sock.sendall(data[start : start + (slices or len(data))])

    def fin(self) -> None:
        """End our side without a word of TLS, and keep the socket."""
        self.sock.shutdown(socket.SHUT_WR)

    def close_notify(self) -> None:
        """End TLS in good order, then the connection's our side."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0.05)  # the client answers or does not; either will do
            with suppress(OSError, ValueError):
                self.sock.unwrap()
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def drain(self) -> None:
        """Read until the client ends; further requests are noted, however incomplete."""
        with suppress(OSError):
            while data := self.read(1 << 20):
                if data.startswith((b"POST", b"GET")):
                    self._server.requests.append(data)


Script = Callable[[Peer], None]


class FaultServer:
    """Listens on loopback and runs `script` for each connection, from `start` to `stop`.

    `requests` are those read whole or begun, `applied` counts what a script applied, `received` counts bytes.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.applied = 0
        self.accepted = 0
        self.received = 0
        self.errors: list[BaseException] = []

    def start(self) -> Self:
        self._threads[0].start()
        return self

    def stop(self) -> None:
        """Wait for the scripts to end, a second at most, then end every connection; raises what a script raised."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(PATIENCE_S)
        until = time.monotonic() + 1.0
        for thread in self._threads[1:]:
            thread.join(max(0.0, until - time.monotonic()))
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            self._script(Peer(self, sock))
        except OSError:
            pass  # the client went away, which is its right
        except BaseException as e:  # kept for the test, where `stop` raises it
            self.errors.append(e)
        finally:
            sock.close()
