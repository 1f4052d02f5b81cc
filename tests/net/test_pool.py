"""The pool: what is set on sockets, and how lanes end, on both loops."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from time import monotonic

import pytest

from bulkwriter.model import Fault
from bulkwriter.net.lane import Lane
from bulkwriter.net.pool import Pool
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Limits, Settings

from ..wire.cases import BODY_BYTES, OK
from ..wire.drive import LIMITS, LOOPS, Certificates, Ear, post, run_on
from ..wire.faultserver import FaultServer, Peer, Script

loops = pytest.mark.parametrize("loop", LOOPS)


@pytest.mark.parametrize(
    "name", ["cli.main", "cli.run", "cli.status", "cli.export", "stub.server", "net.lane", "net.api"]
)
def test_what_makes_no_connection_is_imported_without_aiohttp(name: str) -> None:
    code = f"import sys, bulkwriter.{name}; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def converse(
    loop: str,
    script: Script,
    main: Callable[[Pool, int], object],
    *,
    tls: Certificates | None = None,
    limits: Limits = LIMITS,
) -> FaultServer:
    """Run `main(pool, port)` against a server with this script; the pool is closed afterwards."""
    server = FaultServer(script, tls=tls.good if tls else None).start()

    async def run() -> None:
        scheme, ca_file = ("https", tls.ca_file) if tls else ("http", None)
        url = f"{scheme}://127.0.0.1:{server.port}"
        pool = Pool(url, ca_file=ca_file, limits=limits, timeout_s=7.5)
        try:
            await main(pool, server.port)  # type: ignore[misc]
        finally:
            await pool.aclose()

    try:
        run_on(loop, run())
    finally:
        server.stop()
    return server


def api(peer: Peer) -> None:
    while peer.read_request():
        peer.send(OK)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls"))


@loops
@pytest.mark.parametrize("has_tls", [False, True])
def test_what_is_set_on_a_socket(loop: str, has_tls: bool, certificates: Certificates) -> None:
    async def main(pool: Pool, port: int) -> None:
        lane = await pool.connect(Ear(), body_bytes=BODY_BYTES)
        sock = lane._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\1\0\0\0\0\0\0\0"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7_500

    converse(loop, api, main, tls=certificates if has_tls else None)


@pytest.mark.slow
@loops
@pytest.mark.parametrize("how", ["abort", "sweep", "aclose", "sent at once"])
def test_an_aborted_request_leaves_the_kernel(loop: str, how: str) -> None:
    """The server starts to read only after the client has given up: it must never get the whole."""
    size = 1 << 20
    given_up: list[float] = []

    def late(peer: Peer) -> None:
        peer.wait_readable()
        while not given_up:
            time.sleep(0.005)
        time.sleep(0.05)
        peer.drain()

    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        now = monotonic()
        lane.send(post(port, size), None, now, now + 1)
        if how != "sent at once":
            await asyncio.sleep(0.05)
        match how:
            case "sweep":
                pool.sweep(now + 1)
            case "aclose":
                await pool.aclose()
            case _:
                lane.abort(Fault.CANCELLED)
        expected = Fault.SILENT if how == "sweep" else Fault.CANCELLED
        assert [r.fault for r in ear.replies] == [expected]
        await asyncio.sleep(0.02)
        given_up.append(now)

    server = converse(loop, late, main)
    assert server.received < size


@loops
@pytest.mark.parametrize("has_tls", [False, True])
def test_idle_lanes_close_in_good_order(loop: str, has_tls: bool, certificates: Certificates) -> None:
    ends: list[object] = []

    def note_end(peer: Peer) -> None:
        try:
            api(peer)
            ends.append("FIN")
        except OSError as e:
            ends.append(e)
            raise

    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lanes = [await pool.connect(ear, body_bytes=BODY_BYTES) for _ in range(3)]
        for lane in lanes[:2]:
            await ear.exchange(lane, post(port))
        began = monotonic()
        await pool.aclose()
        assert monotonic() - began < 10
        assert ear.ends == 3
        assert not any(lane.is_open for lane in lanes)

    converse(loop, note_end, main, tls=certificates if has_tls else None)
    assert ends == ["FIN"] * 3


@pytest.mark.slow
@loops
def test_a_tls_peer_that_never_says_goodbye_holds_nobody_up(loop: str, certificates: Certificates) -> None:
    def deaf(peer: Peer) -> None:
        api_once(peer)
        over.wait(60)

    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        await ear.exchange(lane, post(port))
        began = monotonic()
        await pool.aclose()
        assert monotonic() - began < 20
        assert ear.ends == 1
        over.set()

    over = threading.Event()
    converse(loop, deaf, main, tls=certificates)


def api_once(peer: Peer) -> None:
    peer.read_request()
    peer.send(OK)


@pytest.mark.slow
@loops
def test_a_stray_in_the_last_moment_is_heard(loop: str) -> None:
    def repeat(peer: Peer) -> None:
        api_once(peer)
        time.sleep(0.03)
        peer.send(OK)
        peer.drain()

    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        await ear.exchange(lane, post(port))
        await pool.aclose()
        assert (ear.strays, ear.ends) == (1, 1)

    converse(loop, repeat, main, limits=Limits(linger_s=0.2))


@pytest.mark.slow
@loops
def test_a_servers_idle_limit_is_learnt(loop: str) -> None:
    def impatient(peer: Peer) -> None:
        peer.sock.settimeout(0.3)
        api(peer)

    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        first = await pool.connect(ear, body_bytes=BODY_BYTES)
        second = await pool.connect(ear, body_bytes=BODY_BYTES)
        await ear.exchange(first, post(port))
        await asyncio.sleep(0.25)
        await ear.exchange(second, post(port))
        assert first.is_reusable(first.replied_at + 0.25)
        while first.is_open:
            await asyncio.sleep(0.01)
        assert second.is_reusable(second.replied_at + 0.1)
        assert not second.is_reusable(second.replied_at + 0.2)
        pool.sweep(second.replied_at + 0.2)
        assert not second.is_open

    converse(loop, impatient, main)


@loops
def test_a_lane_serves_no_more_than_its_share(loop: str) -> None:
    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        for _ in range(3):
            assert lane.is_open
            await ear.exchange(lane, post(port))
        assert not lane.is_open
        assert await ear.exchange(lane, post(port)) is None

    assert len(converse(loop, api, main, limits=Limits(lane_requests=3)).requests) == 3


@loops
def test_an_exception_in_a_callback_does_not_get_lost(loop: str) -> None:
    class Clumsy(Ear):
        def strayed(self, lane: Lane, /) -> None:
            raise ValueError("bug")

    async def main(pool: Pool, port: int) -> None:
        ear = Clumsy()
        await ear.exchange(await pool.connect(ear, body_bytes=BODY_BYTES), post(port))
        assert [repr(e) for e in ear.crashes] == ["ValueError('bug')"]

    def twice(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK + OK)
        peer.drain()

    converse(loop, twice, main)


@loops
def test_a_cancelled_close_still_cuts_every_lane(loop: str) -> None:
    async def main(pool: Pool, port: int) -> None:
        ear = Ear()
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
        await ear.exchange(lane, post(port))
        closing = asyncio.create_task(pool.aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert ear.ends == 1

    converse(loop, api, main, limits=Limits(linger_s=30.0))


@pytest.mark.parametrize(("in_flight", "requests"), [(64, 5_000), (4_096, 244)])
def test_all_lanes_together_remember_a_million_pairs_at_most(in_flight: int, requests: int) -> None:
    """Each keeps 32 bytes of every pair that it served; 4,096 lanes of 5,000 pairs would be 655 MB."""
    settings = Settings(base_url="https://one.example", token="t", in_flight=in_flight, quota=("none",))
    assert ServerClient(settings).pool.limits.lane_requests == requests
