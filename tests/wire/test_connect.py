"""Connections that cannot be made: each told as what it is, in words, on both loops, and never with a byte sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.model import Fault
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.pool import Pool
from bulkwriter.settings import Limits

from .cases import BODY_BYTES, OK
from .drive import LOOPS, Certificates, Ear, post, run_on
from .faultserver import FaultServer, Peer

pytestmark = pytest.mark.slow


async def attempt(url: str, *, ca_file: Path | None = None, connect_s: float = 5.0, **rest: Any) -> ConnectFailure:
    pool = Pool(url, ca_file=ca_file, limits=Limits(connect_timeout_s=connect_s), **rest)
    try:
        with pytest.raises(ConnectFailure) as info:
            await pool.connect(Ear(), body_bytes=BODY_BYTES)
    finally:
        await pool.aclose()
    return info.value


def fail(loop: str, url: str, **rest: Any) -> tuple[Fault, str]:
    failure = run_on(loop, attempt(url, **rest))
    return failure.fault, failure.detail


@contextmanager
def served(script: Any = Peer.drain, *, tls: ssl.SSLContext | None = None) -> Iterator[FaultServer]:
    server = FaultServer(script, tls=tls).start()
    try:
        yield server
    finally:
        server.stop()
        assert server.requests == []


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused(loop: str, host: str, scheme: str) -> None:
    port = free_port()
    assert fail(loop, f"{scheme}://{host}:{port}") == (Fault.REFUSED, f"{host}:{port}")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_name_that_nobody_has(loop: str) -> None:
    fault, detail = fail(loop, "https://no-such-host.invalid")
    assert fault in (Fault.NAME, Fault.UNREACHABLE)  # where no name server answers, nobody can know
    assert detail.startswith("no-such-host.invalid")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("port", [80, 443])
def test_an_address_that_is_none(loop: str, port: int) -> None:
    fault, detail = fail(loop, f"https://127.1:{port}/")
    assert fault is Fault.NAME
    assert "127.1" in detail


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("wrong host", "another address"),
        ("expired", "expired"),
        ("self-signed", "self-signed"),
        ("unknown authority", "authority"),
        ("TLS 1.1", "TLS 1.2"),
    ],
)
def test_a_certificate_that_is_not_good(loop: str, flaw: str, words: str, certificates: Certificates) -> None:
    with served(tls=certificates.bad[flaw]) as server:
        fault, detail = fail(loop, f"https://127.0.0.1:{server.port}", ca_file=certificates.ca_file)
    assert fault is Fault.TLS
    assert words in detail
    assert f"127.0.0.1:{server.port}" in detail


@pytest.mark.parametrize("loop", LOOPS)
def test_a_certificate_for_another_name(loop: str, certificates: Certificates) -> None:
    with served(tls=certificates.bad["wrong host"]) as server:
        fault, detail = fail(loop, f"https://localhost:{server.port}", ca_file=certificates.ca_file)
    assert (fault, "another host name" in detail) == (Fault.TLS, True)


@pytest.mark.parametrize("loop", LOOPS)
def test_system_authorities_are_not_asked_when_a_file_is_given_and_the_other_way_round(
    loop: str, certificates: Certificates
) -> None:
    with served(tls=certificates.good) as server:
        fault, detail = fail(loop, f"https://127.0.0.1:{server.port}")
    assert (fault, "authority" in detail) == (Fault.TLS, True)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_speaks_no_tls(loop: str) -> None:
    def plain(peer: Peer) -> None:
        peer.wait_readable()
        peer.send(b"HTTP/1.1 400 Bad\r\n\r\n")
        peer.drain()

    with served(plain) as server:
        fault, detail = fail(loop, f"https://127.0.0.1:{server.port}")
    assert (fault, "this port does not speak TLS" in detail) == (Fault.TLS, True)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", [Peer.fin, Peer.reset])
def test_a_server_that_hangs_up_in_the_handshake(loop: str, end: Any) -> None:
    def hang_up(peer: Peer) -> None:
        peer.wait_readable()
        end(peer)

    with served(hang_up) as server:
        fault, detail = fail(loop, f"https://127.0.0.1:{server.port}")
    assert fault is Fault.UNREACHABLE
    assert f"127.0.0.1:{server.port}" in detail


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("limits", [{"connect_s": 0.1}, {"timeout_s": 0.1}], ids=["connect limit", "request deadline"])
def test_a_handshake_that_never_ends(loop: str, limits: dict[str, float]) -> None:
    with served(Peer.drain) as server:
        fault, detail = fail(loop, f"https://127.0.0.1:{server.port}", **limits)
    assert (fault, detail) == (Fault.CONNECT_TIMEOUT, f"127.0.0.1:{server.port}, 0.1 s")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_does_not_accept(loop: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for s in waiting:
                s.setblocking(False)
                s.connect_ex(("127.0.0.1", port))
            time.sleep(0.02)
            assert fail(loop, f"http://127.0.0.1:{port}", connect_s=0.1)[0] is Fault.CONNECT_TIMEOUT
        finally:
            for s in waiting:
                s.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_connect_leaves_nothing_behind(loop: str) -> None:
    async def main(port: int) -> float:
        pool = Pool(f"https://127.0.0.1:{port}")
        connecting = asyncio.create_task(pool.connect(Ear(), body_bytes=BODY_BYTES))
        await asyncio.sleep(0.05)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        began = time.monotonic()
        await pool.aclose()
        return time.monotonic() - began

    with served(Peer.drain) as server:
        assert run_on(loop, main(server.port)) < 0.5


@pytest.mark.parametrize("loop", LOOPS)
def test_a_closed_pool_opens_no_lane(loop: str) -> None:
    async def main(port: int) -> Fault:
        pool = Pool(f"http://127.0.0.1:{port}")
        connecting = asyncio.create_task(pool.connect(Ear(), body_bytes=BODY_BYTES))
        await asyncio.sleep(0)
        await pool.aclose()
        results = [await asyncio.gather(connecting, return_exceptions=True)]
        assert isinstance(results[0][0], ConnectFailure), results
        with pytest.raises(ConnectFailure) as info:
            await pool.connect(Ear(), body_bytes=BODY_BYTES)
        return info.value.fault

    with served(Peer.drain) as server:
        assert run_on(loop, main(server.port)) is Fault.UNSENT


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_many_addresses_of_one_name(loop: str, scheme: str, certificates: Certificates) -> None:
    """`localhost` is ::1 and 127.0.0.1; only the second listens."""

    async def main(port: int) -> int:
        pool = Pool(f"{scheme}://localhost:{port}", ca_file=certificates.ca_file)
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        reply = await ear.exchange(lane, post(port))
        await pool.aclose()
        assert reply is not None
        return reply.status

    def once(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.drain()

    server = FaultServer(once, tls=certificates.good if scheme == "https" else None).start()
    try:
        assert run_on(loop, main(server.port)) == 200
    finally:
        server.stop()
