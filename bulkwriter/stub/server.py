"""Opens the stub's port, on loopback only, on the caller's running loop.

    async with await serve(Scenario(latency_s=0.05)) as stub:
        ...  # talk to stub.base_url with the token "stub-token"
        stub.truth()["doubles"]

The stub holds no secret and checks no name, so it must not be reachable from elsewhere: any host but loopback is a
`UsageError`.  From code that has no loop, use `StubThread`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Self

from ..clocks import MACHINE, Clocks
from ..errors import UsageError
from ..settings import is_loopback_host
from .connection import Connection
from .scenario import Scenario
from .server_core import ServerCore

BACKLOG = 4_096
"""Connections that may wait to be accepted; a client opens hundreds at once."""


class StubServer:
    """A running stub.  Its methods are for its own loop's thread."""

    def __init__(self, core: ServerCore, server: asyncio.Server, *, host: str, is_tls: bool) -> None:
        self._core, self._server = core, server
        self.host = host
        self.port: int = server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.base_url = f"{'https' if is_tls else 'http'}://{shown}:{self.port}"

    @property
    def scenario(self) -> Scenario:
        return self._core.scenario

    def truth(self) -> dict[str, Any]:
        """What happened so far; `truth.FIELDS` explains the keys.  Takes about 0.5 µs a record."""
        return self._core.describe()

    def records(self) -> list[tuple[int, int, int]]:
        """(record id, lesson id, member id) of every record, by id."""
        return list(self._core.api.records.rows())

    def enrolments(self) -> list[dict[str, Any]]:
        """Every enrolment by id: Id, CourseId, CoworkerId, Approved, Blocked.  None without people."""
        people = self._core.api.people
        return people.enrolments() if people else []

    def set_scenario(self, scenario: Scenario) -> None:
        """Behave by another scenario from now on; records, tokens and counts stay."""
        self._core.install(scenario)

    def reset(self) -> None:
        """Start over with the present scenario."""
        self._core.reset()

    async def aclose(self) -> None:
        """Stop listening and reset every connection.  Safe to call twice."""
        self._server.close()
        self._core.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # transports tell their connections on the loop's next turn

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def serve(
    scenario: Scenario | None = None, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None,
    clocks: Clocks = MACHINE,
) -> StubServer:  # fmt: skip
    """Start a stub on the running loop; port 0 takes a free one.  `UsageError`: not loopback, or the port is taken."""
    check_loopback(host)
    loop = asyncio.get_running_loop()
    core = ServerCore(scenario or Scenario(), clocks)
    try:
        server = await loop.create_server(lambda: Connection(core), host, port, ssl=tls, backlog=BACKLOG)
    except OSError as e:
        core.close()
        raise UsageError(
            f"cannot listen on {host} port {port}: {e.strerror or e}", hint="port 0 takes a free one"
        ) from None
    return StubServer(core, server, host=host, is_tls=tls is not None)


def check_loopback(host: str) -> None:
    """Raise `UsageError` unless `host` can be reached from this machine alone."""
    if not is_loopback_host(host):
        raise UsageError(f"the stub listens on loopback only, not on {host!r}", hint="127.0.0.1, ::1 or localhost")
