"""Opens connections to one host, and says plainly why one could not be opened.

Two ways, chosen by the scheme:

    http     to this machine only (`settings`): a look-up of "localhost" and a TCP connection, by the event loop alone
    https    name look-up, happy eyeballs, TLS and CONNECT proxies, by aiohttp's connector (`dial_tls`)

Invariant: whatever a network, a server or a proxy does, `dial` raises only `ConnectFailure`, and then not a byte of a
request was written.  Exceptions of aiohttp, ssl and the OS end in this folder (`connect_failures`).

aiohttp with its TLS contexts is half of what a start costs, and http needs none of it.  So `dialer_for` imports it for
https alone, and before anything is sent.  In an event loop that others share `load_tls` comes first, in a thread.
"""

from __future__ import annotations

import asyncio
import socket
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from ..model import Fault
from .connect_failures import ConnectFailure, explain_name, explain_os_error

HTTP_PORT: Final = 80
LOCAL_NAME: Final = "localhost"
"""The one name that http is allowed to."""


class OpenConnection(Protocol):
    """A connection that was just opened.  `close` ends its transport, whoever is its protocol by then."""

    @property
    def transport(self) -> asyncio.Transport | None: ...
    @property
    def protocol(self) -> Any:
        """Its protocol so far, whose `should_close` tells whether the server spoke or ended already."""

    def close(self) -> None: ...


class Dialer(Protocol):
    """Opens connections to one host, each within the time limit that it was made with.

    `dial` raises `ConnectFailure` and is safe to cancel.  `aclose` waits for the end of every connection.
    """

    async def dial(self) -> OpenConnection: ...
    async def aclose(self) -> None: ...


def dialer_for(base_url: str, *, ca_file: Path | None, proxy: str | None, timeout_s: float) -> Dialer:
    """The way to this URL.  Raises `UsageError` for a URL, a proxy or a CA file that cannot be used."""
    if not needs_tls(base_url):
        return PlainDialer(base_url, timeout_s=timeout_s)
    from .dial_tls import TlsDialer

    return TlsDialer(base_url, ca_file=ca_file, proxy=proxy, timeout_s=timeout_s)


def check_way(base_url: str, *, ca_file: Path | None, proxy: str | None) -> None:
    """Raise the `UsageError` of `dialer_for`, for commands that open no connection and so need no aiohttp."""
    if needs_tls(base_url):
        from .https import check_https

        check_https(base_url, ca_file=ca_file, proxy=proxy)


def needs_tls(base_url: str) -> bool:
    return urlsplit(base_url).scheme == "https"


def load_tls() -> None:
    """Import what `dialer_for` needs for https, for callers whose event loop must not stand still.  Any thread may."""
    import_module(".dial_tls", __package__)


class PlainDialer:
    """TCP alone, for http.  The proxies of the environment and `--proxy` are never asked: it is this machine."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = HTTP_PORT if parts.port is None else parts.port
        self._target = f"{self._host}:{self._port}"
        self._timeout_s = timeout_s

    async def dial(self) -> OpenConnection:
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                return await self._connect()
        except socket.gaierror as e:
            raise explain_name(e, self._host) from None
        except OSError as e:  # a TimeoutError is one
            if limit.expired():
                raise ConnectFailure(Fault.CONNECT_TIMEOUT, f"{self._target}, {self._timeout_s:g} s") from None
            raise explain_os_error(e, self._target) from None
        except RuntimeError as e:  # names are looked up in a thread, and there may be no room for it now
            raise ConnectFailure(Fault.UNREACHABLE, f"{self._target}: {e}") from None

    async def _connect(self) -> PlainConnection:
        """To the first address that takes it: "localhost" may be ::1 and 127.0.0.1, with a server on one of them."""
        loop = asyncio.get_running_loop()
        failure = OSError()
        for address in await self._addresses(loop):
            try:
                transport, opened = await loop.create_connection(Unowned, address, self._port)
            except OSError as e:
                failure = e
            else:
                return PlainConnection(transport, opened)
        raise failure

    async def _addresses(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        if self._host != LOCAL_NAME:  # an address: nothing to look up, and so no thread for it
            return [self._host]
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    async def aclose(self) -> None:
        """Nothing is kept: each connection is closed by its lane."""


class Unowned(asyncio.Protocol):
    """The protocol of a connection that no lane owns yet."""

    def __init__(self) -> None:
        self.should_close = False

    def data_received(self, data: bytes) -> None:
        self.should_close = True

    def eof_received(self) -> None:
        self.should_close = True

    def connection_lost(self, error: Exception | None) -> None:
        self.should_close = True


class PlainConnection:
    """A TCP connection in its first moments."""

    def __init__(self, transport: asyncio.Transport, protocol: Unowned) -> None:
        self.transport = transport
        self.protocol = protocol

    def close(self) -> None:
        self.transport.close()
