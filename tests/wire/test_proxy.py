"""Lanes through a CONNECT proxy: what the proxy sees, and what its refusals and deaths are told as."""

from __future__ import annotations

import base64
import select
import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest

from bulkwriter.model import Fault
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.pool import Pool

from .cases import BODY_BYTES, OK
from .drive import LIMITS, LOOPS, TUNNELLED, Certificates, Ear, post, run_on
from .faultserver import FaultServer, Peer, Script

pytestmark = pytest.mark.slow

SECRET = "proxy-pass-77"


def tunnel(port: int, heads: list[bytes]) -> Script:
    """A proxy that connects whatever host it is asked for to our server."""

    def script(peer: Peer) -> None:
        heads.append(read_head(peer))
        with socket.create_connection(("127.0.0.1", port)) as target:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relay(peer.sock, target)

    return script


def read_head(peer: Peer) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (more := peer.read(1)):
        head += more
    return head


def relay(client: Any, server: Any) -> None:
    """Pass on what either side says, until one has ended.  One thread: a TLS socket is not for two at the same time."""
    with suppress(OSError):
        while True:
            is_kept = isinstance(client, ssl.SSLSocket) and client.pending()
            for source in [client] if is_kept else select.select([client, server], [], [])[0]:
                data = source.recv(65_536)
                if not data:
                    return
                (server if source is client else client).sendall(data)


def api(peer: Peer) -> None:
    while peer.read_request():
        peer.send(OK)


async def exchange(url: str, proxy: str, certificates: Certificates) -> tuple[int, bytes]:
    """Two exchanges on one lane."""
    pool = Pool(url, ca_file=certificates.ca_file, proxy=proxy, limits=LIMITS)
    ear = Ear()
    try:
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        await ear.exchange(lane, post(443))
        reply = await ear.exchange(lane, post(443))
        assert reply is not None
        return reply.status, reply.body
    finally:
        await pool.aclose()
        assert ear.ends <= 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_lane_through_a_tunnel(loop: str, scheme: str, certificates: Certificates) -> None:
    heads: list[bytes] = []
    server = FaultServer(api, tls=certificates.good).start()
    proxy = FaultServer(tunnel(server.port, heads), tls=certificates.good if scheme == "https" else None).start()
    try:
        url = f"{scheme}://us%40er:{SECRET}@localhost:{proxy.port}"
        status, body = run_on(loop, exchange(f"https://{TUNNELLED}/prefix", url, certificates))
    finally:
        proxy.stop()
        server.stop()
    assert (status, body) == (200, OK[-39:])
    assert len(server.requests) == 2
    (head,) = heads
    assert head.startswith(f"CONNECT {TUNNELLED}:443 HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic " + base64.b64encode(f"us@er:{SECRET}".encode()) in head
    assert b"canary" not in head
    assert b"\r\nAuthorization" not in head


def refuse(status: bytes) -> Script:
    def script(peer: Peer) -> None:
        read_head(peer)
        peer.send(b"HTTP/1.1 %b\r\nContent-Length: 4\r\n\r\nno\r\n" % status)
        peer.drain()

    return script


def die(peer: Peer) -> None:
    read_head(peer)
    peer.reset()


def hang_up(peer: Peer) -> None:
    read_head(peer)


def babble(peer: Peer) -> None:
    read_head(peer)
    peer.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    peer.drain()


def tunnel_to_nowhere(peer: Peer) -> None:
    read_head(peer)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.read(100)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("script", "fault", "words"),
    [
        (refuse(b"407 Proxy Authentication Required"), Fault.PROXY, "user name and password"),
        (refuse(b"403 Forbidden"), Fault.PROXY, "403"),
        (refuse(b"502 Bad Gateway"), Fault.UNREACHABLE, "cannot reach"),
        (babble, Fault.PROXY, "HTTP"),
        (die, Fault.UNREACHABLE, "hung up"),
        (hang_up, Fault.UNREACHABLE, "hung up"),
        (tunnel_to_nowhere, Fault.UNREACHABLE, TUNNELLED),
        (Peer.drain, Fault.CONNECT_TIMEOUT, "0.2 s"),
    ],
    ids=["407", "403", "502", "garbage", "reset", "closed", "dead tunnel", "silence"],
)
def test_a_proxy_that_does_not_tunnel(
    loop: str, script: Script, fault: Fault, words: str, certificates: Certificates
) -> None:
    async def main(port: int) -> ConnectFailure:
        limits = type(LIMITS)(connect_timeout_s=0.2 if script is Peer.drain else 5.0)
        pool = Pool(f"https://{TUNNELLED}", proxy=f"http://user:{SECRET}@127.0.0.1:{port}", limits=limits)
        try:
            with pytest.raises(ConnectFailure) as info:
                await pool.connect(Ear(), body_bytes=BODY_BYTES)
        finally:
            await pool.aclose()
        return info.value

    proxy = FaultServer(script).start()
    try:
        failure = run_on(loop, main(proxy.port))
    finally:
        proxy.stop()
    assert failure.fault is fault, failure
    assert words in failure.detail
    assert SECRET not in f"{failure}{failure!r}"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_bad_certificate_behind_a_tunnel(loop: str, certificates: Certificates) -> None:
    async def main(port: int) -> ConnectFailure:
        pool = Pool(f"https://{TUNNELLED}", ca_file=certificates.ca_file, proxy=f"http://127.0.0.1:{port}")
        try:
            with pytest.raises(ConnectFailure) as info:
                await pool.connect(Ear(), body_bytes=BODY_BYTES)
        finally:
            await pool.aclose()
        return info.value

    def bad(context: ssl.SSLContext) -> ConnectFailure:
        server = FaultServer(api, tls=context).start()
        proxy = FaultServer(tunnel(server.port, [])).start()
        try:
            return run_on(loop, main(proxy.port))
        finally:
            proxy.stop()
            server.stop()
            assert server.requests == []

    for flaw, words in (("wrong host", "another host name"), ("expired", "expired")):
        failure = bad(certificates.bad[flaw])
        assert (failure.fault, words in failure.detail) == (Fault.TLS, True), failure


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("proxy", "fault", "detail"),
    [
        ("http://127.0.0.1:1", Fault.REFUSED, "proxy 127.0.0.1:1"),
        ("http://no-such-proxy.invalid:1", Fault.NAME, "no-such-proxy.invalid (the proxy)"),
    ],
)
def test_a_proxy_that_is_not_there(loop: str, proxy: str, fault: Fault, detail: str) -> None:
    async def main() -> ConnectFailure:
        pool = Pool(f"https://{TUNNELLED}", proxy=proxy)
        try:
            with pytest.raises(ConnectFailure) as info:
                await pool.connect(Ear(), body_bytes=BODY_BYTES)
        finally:
            await pool.aclose()
        return info.value

    failure = run_on(loop, main())
    assert (failure.fault, failure.detail) == (fault, detail)
