"""All replies of a turn read together mean what each means when it is read alone, at once and by the parsers.

Two senders with real lanes are given the same bytes.  One reads by the turn, as a run does.  The other reads each piece
as soon as it comes, and never tells a reply by its ends.  After each turn both must say the same of every pair, lane
and counter.  Rows of different lanes may come in another order within a turn.  Bytes are a stream: what comes on one
lane in one turn comes to the second sender in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.created import UsualReply
from bulkwriter.model import Fault, State
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.lane import Lane
from bulkwriter.settings import Settings

from ..support.lane_bench import Wire
from ..support.sender_stage import Stage

IN_FLIGHT = 4
CREATED = b"HTTP/1.1 %d OK\r\nDate: Mon, 23 Nov 2026 10:00:0%d GMT\r\nContent-Length: %d\r\n\r\n"
BODY = b'{"Value":{"Id":%d},"At":"%b","WasSuccessful":true}'


def created(record_id: int, *, status: int = 200, second: int = 0, at: bytes = b"10:30") -> bytes:
    body = BODY % (record_id, at)
    return CREATED % (status, second, len(body)) + body


def plain(status: int, body: bytes = b"", *lines: bytes) -> bytes:
    head = b"\r\n".join([b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *lines])
    return head + b"\r\n\r\n" + body


def joined(pieces: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Bytes that come on a lane one after another in one piece, where the last of them came."""
    together: list[tuple[int, Any]] = []
    for number, piece in pieces:
        before = next((at for at in reversed(range(len(together))) if together[at][0] == number), None)
        if before is not None and isinstance(piece, bytes) and isinstance(together[before][1], bytes):
            piece = together.pop(before)[1] + piece
        together.append((number, piece))
    return together


def unmixed(pieces: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Without an id that comes on two lanes in one turn: nobody knows which of them came first."""
    lanes: dict[bytes, int] = {}
    kept = []
    for number, piece in pieces:
        ids = re.findall(rb'"Id":(\d+)', piece) if isinstance(piece, bytes) else []
        if all(lanes.setdefault(one, number) == number for one in ids):
            kept.append((number, piece))
    return kept


class NeverUsual(UsualReply):
    """Every reply is parsed."""

    def ids_in(self, texts: Iterable[bytes]) -> list[int]:
        return [0 for _ in texts]


class LaneStage(Stage):
    """A sender with real lanes on wires that only record.  `by_turn`: steps wait for `go_on`."""

    def __init__(self, *, by_turn: bool) -> None:
        self.by_turn = by_turn
        self.wires: list[Wire] = []
        self.gone: list[Wire] = []
        super().__init__(settings=Settings(in_flight=IN_FLIGHT))
        self.idle = IdleLimit(4.0)
        if not by_turn:
            self.sender._usual = NeverUsual(lambda reply: 0)

    def step(self) -> None:
        for _ in range(self.sender.advance().lanes):
            self.sender.lane_opened(self._open())

    def _open(self) -> Lane:
        wire = Wire()
        self.wires.append(wire)
        lane = Lane(
            self.sender,
            transport=wire,
            connection=wire,
            reader=ReplyReader(head_bytes=4_096, body_bytes=4_096),
            idle=self.idle,
            max_requests=6,
            linger_s=0.05,
            forget=lambda lane: None,
            clock=lambda: self.now,
        )
        self.lanes.append(lane)  # type: ignore[arg-type]
        return lane

    def turn(self, pieces: list[tuple[int, Any]]) -> None:
        """Each piece comes on the lane of its number: bytes, or the name of what happens to the lane."""
        self.now += 0.1
        self.run.is_held = True
        for number, piece in pieces if self.by_turn else joined(pieces):
            if number < len(self.lanes):
                self._come(self.lanes[number], piece)
                if not self.by_turn:
                    self.sender.read()
        self.run.go_on()
        for lane, wire in zip(self.lanes, self.wires, strict=True):
            if wire.log and wire not in self.gone:
                self.gone.append(wire)
                lane.connection_lost(None)  # type: ignore[attr-defined]
        self.run.soon()

    def _come(self, lane: Any, piece: Any) -> None:
        wire = self.wires[self.lanes.index(lane)]
        match piece:
            case bytes() if not wire.log:
                lane.data_received(piece)
            case "eof" if not wire.log:
                lane.eof_received()
                wire.close()  # as the event loop does
            case "reset" if not wire.log:
                wire.abort()
                self.gone.append(wire)
                lane.connection_lost(ConnectionResetError())
            case "abort":
                lane.abort(Fault.CANCELLED)
            case "overdue" if lane.is_busy:  # an idle one would be retired
                lane.sweep(self.now + 100.0)

    def tells(self) -> dict[str, Any]:
        """What is known of all pairs, lanes and counters."""
        pairs, stats = self.pairs, self.stats
        lanes: list[Any] = self.lanes
        return {
            "rows": {row[0]: row for row in pairs._rows},
            "places": (sorted(pairs.in_flight), sorted(i.seq for i in pairs.ready)),
            "doubts": sorted(doubt.intent.seq for doubt in pairs.doubts),
            "lanes": [(lane.is_busy, lane.is_open, lane.requests) for lane in lanes],
            "told": [sorted(lane.history) for lane in lanes],
            "recalled": sorted((intent.seq, state) for intent, state in self.pairs.told),
            "counts": (stats.attempts, stats.by_kind(), stats.responses, stats.faults),
            "stops": [type(stop) for stop in self.stops],
            "newest": self.record_ids.newest,
        }


IDS = st.integers(1_000, 1_060)  # so few that some come twice
USUAL = st.builds(created, IDS)
TEXTS = st.one_of(
    USUAL,
    USUAL,
    USUAL,
    st.builds(created, IDS, status=st.just(201)),
    st.builds(created, IDS, second=st.just(1)),
    st.builds(created, st.integers(1, 10**18)),
    st.builds(created, IDS, at=st.sampled_from([b"10:31", b'","Id":1,"'])),
    st.builds(lambda one, other: one + other, USUAL, USUAL),
    st.sampled_from(
        [
            plain(409),
            plain(429, b"", b"Retry-After: 1"),
            plain(400, b'{"Errors":[{"PropertyName":"A","Message":"b"}],"WasSuccessful":false}'),
            plain(500, b"{}"),
            plain(401),
            plain(200, b'{"Value":{"Id":1000},"WasSuccessful":false}'),
            plain(200, b"{}", b"Connection: close"),
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"garbage",
            b"\r\n",
            created(1_001)[:-1],
            created(1_001)[:30],
            created(1_001)[30:],
        ]
    ),
)
PIECES = st.tuples(
    st.integers(0, IN_FLIGHT - 1), st.one_of(TEXTS, TEXTS, TEXTS, st.sampled_from(["eof", "reset", "abort", "overdue"]))
)
TURNS = st.lists(st.lists(PIECES, max_size=6).map(lambda pieces: unmixed(pieces)), max_size=12)


def stages(status: int = 200) -> tuple[LaneStage, LaneStage]:
    """Both, after the canary and with the usual reply learnt."""
    both = LaneStage(by_turn=True), LaneStage(by_turn=False)
    for stage in both:
        stage.give(*range(60))
        for at in range(4):
            stage.turn([(number, created(2_000 + 10 * at + number, status=status)) for number in range(IN_FLIGHT)])
    return both


@settings(max_examples=150, deadline=None)
@given(turns=TURNS, status=st.sampled_from([200, 201]))
def test_what_is_read_by_the_turn_means_what_it_means_when_it_is_read_alone(
    turns: list[list[Any]], status: int
) -> None:
    by_turn, alone = stages(status)
    assert by_turn.tells() == alone.tells()
    for pieces in turns:
        by_turn.turn(pieces)
        alone.turn(pieces)
        assert by_turn.tells() == alone.tells(), pieces
    by_turn.pairs.check()


def test_a_reply_of_the_usual_kind_takes_the_short_way() -> None:
    stage, _ = stages()
    assert stage.sender._usual.ids_in([created(1_234)]) == [1_234]


@pytest.mark.parametrize("usual", [200, 201])
def test_the_status_of_each_reply_is_stored(usual: int) -> None:
    stage, _ = stages(usual)
    carried = [stage.lanes[number].carried.seq for number in range(2)]
    stage.turn([(0, created(1_000)), (1, created(1_001, status=201))])
    rows = stage.tells()["rows"]
    assert [rows[seq][3:5] for seq in carried] == [(1_000, 200), (1_001, 201)]


def test_what_looks_usual_behind_a_part_of_a_reply_or_on_an_idle_lane_is_not() -> None:
    stage, _ = stages()
    stage.turn([(0, created(1_000)[:-1])])
    carried = stage.lanes[0].carried.seq
    stage.turn([(0, created(1_001))])
    assert stage.tells()["rows"][carried][1] == State.IN_DOUBT
    stage.run.is_stopping = True  # so that lanes fall idle
    stage.turn([(1, created(1_002))])
    stage.turn([(1, created(1_003))])
    assert not stage.lanes[1].is_open
    assert 1_003 not in {row[3] for row in stage.tells()["rows"].values()}


def test_a_bug_loses_nothing_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lane's reply meets a bug; what came on the others in the same turn is settled all the same."""
    stage, _ = stages()
    carried = [stage.lanes[number].carried.seq for number in range(IN_FLIGHT)]
    bugs: list[BaseException] = []
    stage.run.crashed = bugs.append  # type: ignore[assignment]

    def broken(*given: Any, **named: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.sender, "_rule", broken)
    stage.turn([(0, plain(409)), *((number, created(1_000 + number)) for number in range(1, IN_FLIGHT))])
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
    rows = stage.tells()["rows"]
    assert [rows[seq][1] for seq in carried[1:]] == [State.CREATED] * (IN_FLIGHT - 1)
    assert carried[0] in stage.pairs.in_flight  # its intent is a doubt of the next start


def test_a_bug_behind_the_rows_loses_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = stages()
    carried = [stage.lanes[number].carried.seq for number in range(IN_FLIGHT)]

    def broken(*given: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.admission, "created", broken)
    with pytest.raises(ZeroDivisionError):
        stage.turn([(number, created(1_000 + number)) for number in range(IN_FLIGHT)])
    assert [stage.tells()["rows"][seq][1] for seq in carried] == [State.CREATED] * IN_FLIGHT


def test_what_was_not_read_when_a_bug_came_is_read_in_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = stages()
    carried = [stage.lanes[number].carried.seq for number in range(IN_FLIGHT)]
    calls = iter([True])

    def take(self: Lane, now: float) -> Any:
        if next(calls, False):
            raise ZeroDivisionError
        return real(self, now)

    real = Lane.take
    monkeypatch.setattr(Lane, "take", take)
    with pytest.raises(ZeroDivisionError):
        stage.turn([(number, created(1_000 + number)) for number in range(IN_FLIGHT)])
    stage.run._is_inside = False
    stage.run.soon()
    assert [stage.tells()["rows"][seq][1] for seq in carried[1:]] == [State.CREATED] * (IN_FLIGHT - 1)
