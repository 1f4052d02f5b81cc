"""Any bytes, cut anywhere, into a connection without a network: no request lost, none invented, nothing raised."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.clocks import Clocks, Timer
from bulkwriter.stub.connection import Connection
from bulkwriter.stub.scenario import Scenario
from bulkwriter.stub.server_core import ServerCore
from tests.support.stub_wire import COLLECTION, create, request


class NoTimers(Clocks):
    """Timers that never fire; a scenario without latency needs none."""

    def call_later(self, seconds: float, step: Any, *args: Any, idle: bool = False) -> Timer:
        assert seconds > 0
        return cast(Timer, None)


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def get_extra_info(self, name: str) -> None:
        return None


def fed(pieces: Iterable[bytes]) -> tuple[ServerCore, Sink]:
    core = ServerCore(Scenario(), NoTimers())
    connection, sink = Connection(core), Sink()
    connection.connection_made(cast(asyncio.Transport, sink))
    for piece in pieces:
        connection.data_received(piece)
    connection.connection_lost(None)
    assert not core.connections
    return core, sink


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[low:high] for low, high in pairwise(edges)]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 10**6), max_size=12), st.lists(st.integers(0, 10_000), max_size=12))
def test_however_requests_are_cut_each_is_served_once_and_in_order(members: list[int], places: list[int]) -> None:
    core, sink = fed(cut(b"".join(create(1, member) for member in members), places))
    assert list(core.api.records.rows()) == [(i + 1, 1, member) for i, member in enumerate(members)]
    assert sink.written.count(b"HTTP/1.1 200 OK") == len(members)
    assert not sink.is_closed


def test_a_body_that_looks_like_a_known_request_is_still_a_body() -> None:
    inner = create(1, 7)
    outer = request("POST", COLLECTION, inner)
    head = outer[: -len(inner)]
    core, _ = fed([inner, inner + head, inner, inner])
    assert list(core.api.records.rows()) == [(1, 1, 7), (2, 1, 7), (3, 1, 7)]
    assert core.truth.statuses == {200: 3, 400: 1}


@settings(max_examples=100)
@given(st.binary(max_size=30), st.integers(0, 300), st.integers(0, 30), st.lists(st.integers(0, 10_000), max_size=4))
def test_damaged_requests_end_in_a_reply_or_in_waiting(
    damage: bytes, place: int, removed: int, places: list[int]
) -> None:
    whole = create(1, 1) + create(1, 2)
    core, sink = fed(cut(whole[:place] + damage + whole[place + removed :], places))
    assert core.truth.bad_requests <= 1
    assert sink.is_closed or not core.truth.bad_requests
