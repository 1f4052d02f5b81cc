"""Runs one exchange with a fault server through a real pool and lane, on whichever event loop is running."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import trustme
import uvloop

from bulkwriter.model import Fault, Reply
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.lane import Lane
from bulkwriter.net.pool import Pool
from bulkwriter.settings import Limits

from .cases import BODY_BYTES, DEADLINE_S, HEAD_BYTES, NOT_SENT, OK, Case, Seen
from .faultserver import FaultServer, Peer

T = TypeVar("T")
TUNNELLED = "api.tunnelled.test"
"""A host that only a proxy can reach."""
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
LIMITS = Limits(head_bytes=HEAD_BYTES, body_bytes=BODY_BYTES, connect_timeout_s=5.0, linger_s=0.02)


def run_on(loop: str, main: Coroutine[Any, Any, T]) -> T:
    """Run on this kind of event loop; anything the loop would only have logged is raised."""
    troubles: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        return await main

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(watched())
    assert not troubles, troubles
    return result


class Ear:
    """An owner that waits for one reply at a time and notes the rest."""

    def __init__(self) -> None:
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.replies: list[Reply] = []
        self.strays = 0
        self.ends = 0
        self.crashes: list[Exception] = []

    def arrived(self, lane: Lane, /) -> None:
        asyncio.get_running_loop().call_soon(lambda: lane.read(monotonic()))  # at the end of the turn, as a run does

    def replied(self, lane: Lane, reply: Reply, /) -> None:
        self.replies.append(reply)
        self.reply.set_result(reply)

    def strayed(self, lane: Lane, /) -> None:
        self.strays += 1

    def ended(self, lane: Lane, /) -> None:
        assert not lane.is_busy
        self.ends += 1

    def crashed(self, error: Exception, /) -> None:
        self.crashes.append(error)

    async def exchange(self, lane: Lane, request: bytes, *, deadline_s: float = 5.0) -> Reply | None:
        """The reply, or None where the lane says that nothing was sent."""
        self.reply = asyncio.get_running_loop().create_future()
        now = monotonic()
        if not lane.send(request, self, now, now + deadline_s):
            return None
        return await self.reply


@dataclass
class Result:
    """What the client saw, and what the server did, without the first good exchange."""

    seen: Seen
    strays: int = 0
    ends: int = 0
    server_requests: int = 0
    applied: int = 0
    redirected: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Certificates:
    """One authority that the client trusts, and servers' contexts: good, and each bad in its own way."""

    ca_file: Path
    good: ssl.SSLContext
    bad: dict[str, ssl.SSLContext]

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        authority = trustme.CA()
        ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        other = trustme.CA()
        names = ("localhost", "127.0.0.1", TUNNELLED)
        old = server_context(authority.issue_cert(*names))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        self_signed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (folder / "self.pem").write_bytes(other.private_key_pem.bytes() + other.cert_pem.bytes())
        self_signed.load_cert_chain(folder / "self.pem")
        bad = {
            "wrong host": server_context(authority.issue_cert("elsewhere.test")),
            "expired": server_context(authority.issue_cert(*names, not_after=datetime(2020, 1, 1, tzinfo=UTC))),
            "self-signed": self_signed,
            "unknown authority": server_context(other.issue_cert(*names)),
            "TLS 1.1": old,
        }
        return cls(ca_file, server_context(authority.issue_cert(*names)), bad)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def post(port: int, size: int = 0) -> bytes:
    body = b'{"CourseLessonId":1,"CourseMemberId":2}' + b" " * size
    return (
        b"POST /api HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer canary-token-8c1f\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (port, len(body), body)
    )


async def run_case(case: Case, *, is_warm: bool, certificates: Certificates | None) -> Result:
    """One connection: an exchange that goes well if `is_warm`, then the case's."""

    def script(peer: Peer) -> None:
        if is_warm:
            peer.read_request()
            peer.send(OK)
        case.script(Redirecting(peer, elsewhere.port))

    tls = certificates.good if certificates else None
    elsewhere, server = FaultServer(Peer.drain).start(), FaultServer(script, tls=tls).start()
    scheme = "https" if certificates else "http"
    pool = Pool(
        f"{scheme}://127.0.0.1:{server.port}",
        ca_file=certificates.ca_file if certificates else None,
        limits=LIMITS,
    )
    sweeper = asyncio.create_task(sweep(pool))
    try:
        result = await converse(pool, case, server, is_warm=is_warm)
    finally:
        sweeper.cancel()
        await pool.aclose()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(elsewhere.stop)
    result.applied = server.applied
    result.server_requests = len(server.requests) - is_warm
    result.redirected = elsewhere.accepted
    return result


async def converse(pool: Pool, case: Case, server: FaultServer, *, is_warm: bool) -> Result:
    ear = Ear()
    try:
        lane = await pool.connect(ear, body_bytes=BODY_BYTES)
    except ConnectFailure as e:
        may_be = (Fault.UNSENT, Fault.UNREACHABLE)
        return Result(NOT_SENT, strays=bool(case.is_stray), problems=[] if e.fault in may_be else [str(e)])
    if is_warm and (await ear.exchange(lane, post(server.port))) != Reply(200, OK[-39:]):
        return Result(NOT_SENT, problems=["the first exchange failed"])
    if case.pause_s:
        await asyncio.sleep(case.pause_s)
    deadline_s = DEADLINE_S if Fault.SILENT in case.expected else 5.0
    reply = await ear.exchange(lane, post(server.port, case.request_bytes), deadline_s=deadline_s)
    if case.is_stray:
        await asyncio.sleep(0.12)
    # where `is_stray` is None, bytes that nobody asked for may end the lane at any moment
    elif (
        case.is_stray is False
        and lane.is_open
        and reply is not None
        and not await ear.exchange(lane, post(server.port), deadline_s=0.05)
    ):
        ear.crashes.append(AssertionError("an open lane did not send"))
    await pool.aclose()
    seen: Seen = NOT_SENT if reply is None else reply.fault or reply.status
    result = Result(seen, ear.strays, ear.ends)
    result.problems += [repr(e) for e in ear.crashes]
    if reply is not None and reply.fault is not None and reply.body:
        result.problems.append("a fault with a body")
    return result


async def sweep(pool: Pool) -> None:
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.02)
            pool.sweep(monotonic())


class Redirecting(Peer):
    """Fills in the address of a server that must never be called."""

    def __init__(self, peer: Peer, port: int) -> None:
        self.__dict__ = peer.__dict__
        self.port = port

    def send(self, data: bytes, *, slices: int = 0) -> None:
        super().send(data.replace(b"%LOCATION%", b"http://127.0.0.1:%d/" % self.port), slices=slices)
