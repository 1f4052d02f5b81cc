"""Stages that wait for nothing: source, dedupe, intake, requests, framing, classifying, statistics, control."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import cast

from bulkwriter.adaptive import Controller
from bulkwriter.core.classify import created_id
from bulkwriter.core.dedupe import IdSet, PairSet
from bulkwriter.core.stats import Stats
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.model import Intent, Reply
from bulkwriter.net.api import Api
from bulkwriter.net.framing import ReplyReader
from bulkwriter.rows import AppendRow, StoredRow
from bulkwriter.run.chunks import ChunkSize
from bulkwriter.run.existing_records import KnownRecords
from bulkwriter.run.intake import Intake, IntakePlan
from bulkwriter.run.intents import Intents, There
from bulkwriter.sources import iterable_source, open_source

from ..servers import ENVELOPE
from ..turns import TOKEN
from . import Steps, Work

CHUNK_ROWS = 2_000
FIRST_ID = 178_000_000_000_000_000
IN_FLIGHT = 64
GROUP = 400
"""Outcomes a commit."""
TURN = 20
"""Replies that are read together; of 64 in flight to a near server about as many come in a turn of the loop."""
LATENCY_S = 0.001
HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)


def body_of(record_id: int) -> bytes:
    return (ENVELOPE % record_id).encode()


def replies_for(work: Work) -> list[Reply]:
    """A created reply for each pair, with rising ids that leave room for those of others."""
    return [Reply(200, body_of(FIRST_ID + 3 * i)) for i in range(len(work.pairs))]


def wire_of(reply: Reply) -> bytes:
    """A reply as nginx writes it."""
    return HEAD % len(reply.body) + reply.body


def source(work: Work) -> Steps:
    """Read the CSV in chunks, as the intake does."""

    async def read() -> None:
        rows = open_source(str(work.source))
        while await rows.read(CHUNK_ROWS):
            pass
        await rows.aclose()

    return lambda: asyncio.run(read())


def dedupe(work: Work) -> Steps:
    """Add every pair to the set of those seen."""
    chunks = work.chunks(CHUNK_ROWS)

    def add() -> None:
        seen = PairSet()
        for chunk in chunks:
            assert not seen.add_all(chunk)

    return add


class NoIntents:
    """Takes what an intake commits and lets it go."""

    async def room(self, rows: int) -> int:
        return 0

    async def read_pairs(self, first_seq: int, count: int) -> list[tuple[int, int] | None]:
        return []

    async def read_stored(self, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
        return []

    async def read_singles(self, states: frozenset[int], *, after: int) -> list[StoredRow]:
        return []

    async def read_earlier(self, pairs: list[tuple[int, int]], first_seq: int) -> dict[tuple[int, int], StoredRow]:
        return {}

    def at_once(self) -> int:
        return CHUNK_ROWS

    def note_source(self, news: tuple[int | None, bool] | None) -> None:
        return None

    async def commit_source(self) -> None:
        return None

    async def commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> frozenset[int]:
        return frozenset()

    async def commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        return None


class NothingThere:
    """A server without records."""

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        return {}

    def floor(self) -> int | None:
        return FIRST_ID


def intake(work: Work) -> Steps:
    """Dedupe, and make journal rows and intents; the rows come from a list."""

    async def take() -> None:
        await Intake(
            iterable_source(work.pairs),
            IntakePlan(stored=0),
            intents=cast(Intents, NoIntents()),
            known=cast(KnownRecords, NothingThere()),
            chunk=ChunkSize(most=CHUNK_ROWS, chunk_s=1.0),
        ).run(monotonic)

    return lambda: asyncio.run(take())


def encode(work: Work) -> Steps:
    """Make the bytes of the request."""
    api = Api("http://127.0.0.1:8765", COMPLETED_LESSONS)

    def make() -> None:
        for pair in work.pairs:
            api.create(TOKEN, pair)

    return make


def framing(work: Work) -> Steps:
    """Find the reply in what the socket gives: nginx's head, and a body of 300 bytes."""
    data = wire_of(Reply(200, body_of(FIRST_ID)))
    reader = ReplyReader(head_bytes=65_536, body_bytes=1 << 20)

    def feed() -> None:
        for _ in work.pairs:
            assert reader.feed(data)

    return feed


def classify(work: Work) -> Steps:
    """Read the record id out of a reply: JSON, and the checks of the table's first row."""
    replies = replies_for(work)

    def read() -> None:
        for reply in replies:
            assert created_id(reply)

    return read


def record_ids(work: Work) -> Steps:
    """Note each record id, to know it should it come again."""
    numbers = range(FIRST_ID, FIRST_ID + 3 * len(work.pairs), 3)

    def note() -> None:
        seen = IdSet()
        for number in numbers:
            assert seen.add(number)

    return note


def stats(work: Work) -> Steps:
    """Count the created replies of a turn and their latency."""

    def count() -> None:
        counters = Stats(0.0)
        for i in range(0, len(work.pairs), TURN):
            counters.created_all({LATENCY_S * i: TURN}, LATENCY_S * (i + 1))
            if not i % GROUP:
                counters.note(LATENCY_S * i)

    return count


def controller(work: Work) -> Steps:
    """Tell the control of the requests and replies of a turn, 64 in flight, and ask when the next may go."""
    deciding = Controller(IN_FLIGHT, pause_cap_s=60.0, rng=random.Random(1))

    def tell() -> None:
        for now in ticks(deciding, work):
            deciding.on_all_good(now, {now - LATENCY_S: TURN})
            deciding.next_send_at(now)
            deciding.on_sent(now, TURN)

    return tell


def ticks(deciding: Controller, work: Work) -> Iterator[float]:
    """When the replies of each turn come, after the first ones were sent."""
    for _ in range(IN_FLIGHT // TURN):
        deciding.on_sent(0.0, TURN)
    for i in range(0, len(work.pairs), TURN):
        yield LATENCY_S + i * LATENCY_S / IN_FLIGHT
