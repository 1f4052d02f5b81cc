"""A stub in a thread of its own, for code without an event loop and for tests that must not share theirs.

    with StubThread({"faults": {"rst_after": 0.1}}) as stub:
        requests.post(stub.base_url + ..., headers={"Authorization": f"Bearer {stub.token}"})

Runs on uvloop where it is installed, unless `loop_factory` makes another loop.  Every method may be called from any
thread but the stub's, and waits until it is done there.  `stop` always ends the thread; it is safe to call twice, and
what the stub holds can still be asked for.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self, TypeVar

from ..clocks import MACHINE, Clocks
from .scenario import Scenario
from .server import StubServer, serve
from .tokens import DEFAULT_TOKEN

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]
START_S = 30.0
"""Longest wait for the thread, which takes a few milliseconds but for a million existing records."""


class StubThread:
    """See the module.  `token` is good for everything, unless the scenario has other tokens."""

    token = DEFAULT_TOKEN

    def __init__(
        self, scenario: Scenario | Mapping[str, Any] | None = None, *,
        host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, loop_factory: NewLoop | None = None,
        clocks: Clocks = MACHINE,
    ) -> None:  # fmt: skip
        self._scenario = made(scenario)
        self._host, self._port, self._tls = host, port, tls
        self._clocks = clocks
        self._loop_factory = loop_factory or fastest_loop()
        self._started: Future[StubServer] = Future()
        self._thread = threading.Thread(target=self._live, name="bulkwriter-stub", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.base_url = ""

    def start(self) -> Self:
        """Return when the stub listens; raises what kept it from that."""
        self._thread.start()
        self.base_url = self._started.result(START_S).base_url
        return self

    def stop(self) -> None:
        if self._thread.is_alive() and self._loop is not None and self._end is not None:
            with suppress(RuntimeError):  # the thread is just ending by itself, its loop closed already
                self._loop.call_soon_threadsafe(self._end.set)
        if self._thread.ident is not None:
            self._thread.join()

    def truth(self) -> dict[str, Any]:
        """What happened so far; `bulkwriter help stub` explains the keys."""
        return self._ask(lambda stub: stub.truth())

    def records(self) -> list[tuple[int, int, int]]:
        """(record id, lesson id, member id) of every record, by id."""
        return self._ask(lambda stub: stub.records())

    def enrolments(self) -> list[dict[str, Any]]:
        """Every enrolment by id: Id, CourseId, CoworkerId, Approved, Blocked.  None without people."""
        return self._ask(lambda stub: stub.enrolments())

    def set_scenario(self, scenario: Scenario | Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Behave by another scenario from now on: a scenario, a mapping, or fields by name."""
        new = made({**scenario, **fields} if isinstance(scenario, Mapping) else scenario or fields)
        self._ask(lambda stub: stub.set_scenario(new))

    def reset(self) -> None:
        """Start over with the present scenario: its existing records, nothing else, all counts zero."""
        self._ask(lambda stub: stub.reset())

    def cpu_s(self) -> float:
        """Seconds of CPU that the stub's thread has used."""
        return self._ask(lambda stub: time.thread_time())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ask(self, question: Callable[[StubServer], T]) -> T:
        """Run `question` on the stub's loop and wait for its answer."""

        async def answer() -> T:
            return question(self._started.result())

        assert self._loop is not None, "not started"
        if not self._thread.is_alive():  # stopped: it keeps what it had, and nobody else asks it
            return question(self._started.result())
        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            stub = await serve(self._scenario, host=self._host, port=self._port, tls=self._tls, clocks=self._clocks)
        except BaseException as e:
            self._started.set_exception(e)
            return
        async with stub:
            self._started.set_result(stub)
            await self._end.wait()


def made(scenario: Scenario | Mapping[str, Any] | None) -> Scenario:
    if isinstance(scenario, Scenario):
        return scenario
    return Scenario.from_mapping(scenario or {})


def fastest_loop() -> NewLoop:
    """Makes uvloop's loops where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
