"""The sender: what may be sent when, by which lane, and what lanes out of step and a server that is gone change."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bulkwriter.events import ConnectionTrouble, LaneShifted, Recovered
from bulkwriter.model import Fault, Reply, State
from bulkwriter.run.lanes import LaneStock
from bulkwriter.settings import Limits, Settings

from ..support.sender_stage import HandLane, Stage, created, rejected

LOST = Reply(0, fault=Fault.LOST)

# what may be sent


def test_one_lane_alone_sends_until_something_was_created() -> None:
    stage = Stage()
    stage.give(1, 2, 3, 4, 5)
    assert stage.sent == [1]
    stage.lane_of(1).answer(rejected())
    assert stage.sent == [1, 2]
    stage.lane_of(2).answer(created(100))
    assert len(stage.busy()) == 3
    assert len(stage.lanes) <= 4


def test_no_more_than_the_limit_are_in_flight_and_a_freed_lane_is_used_at_once() -> None:
    stage = Stage(Settings(in_flight=2))
    stage.run_up(3)
    stage.give(1, 2, 3, 4)
    assert stage.sent == [1, 2]
    first = stage.lane_of(1)
    first.answer(created(1))
    assert stage.lane_of(3) is first
    assert len(stage.pairs.in_flight) == 2


def test_lanes_freed_in_one_turn_are_used_at_its_end() -> None:
    stage = Stage(Settings(in_flight=3))
    stage.run_up(4)
    stage.give(1, 2, 3, 4, 5, 6)
    stage.run.is_held = True
    first, second, third = (stage.lane_of(seq) for seq in (1, 2, 3))
    first.answer(created(1))
    second.answer(rejected())
    third.answer(Reply(0, fault=Fault.LOST))
    assert stage.sent == [1, 2, 3]
    first.is_open = False  # the server closed it meanwhile
    stage.run.go_on()
    assert stage.sent == [1, 2, 3, 4, 5, 6]
    assert stage.lane_of(4) is second
    assert third not in stage.busy()  # a lost one frees none
    assert len(stage.pairs.in_flight) == 3


def test_the_ceiling_counts_from_when_a_request_went_not_from_when_the_turn_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow_send(lane: HandLane, *args: Any) -> bool:
        lane.stage.now += 0.5  # the processor was taken away
        return send(lane, *args)

    send = HandLane.send
    monkeypatch.setattr(HandLane, "send", slow_send)
    stage = Stage(Settings(rate=1.0))
    ceiling = stage.admission.ceiling
    assert ceiling
    ceiling._permits = 2
    began = stage.now
    stage.give(1)
    assert stage.sent == [1]
    assert ceiling.opens_at(stage.now) >= began + 0.5 + 1.0


def test_without_a_token_nothing_is_sent() -> None:
    stage = Stage()
    stage.token_refresh.since = math.inf
    stage.give(1)
    assert stage.sent == []
    stage.token()
    assert stage.sent == [1]


def test_after_a_stop_nothing_is_sent() -> None:
    stage = Stage()
    stage.run_up(3)
    stage.give(1, 2)
    stage.run.is_stopping = True
    stage.lane_of(1).answer(Reply(409))
    stage.give(3)
    assert stage.sent == [1, 2]
    assert stage.ready() == [1, 3]


def test_while_the_outcome_buffer_is_full_nothing_is_sent() -> None:
    stage = Stage(Settings(in_flight=8, limits=Limits(outcome_rows=2)))
    stage.run_up(2)
    stage.give(1)
    assert stage.sent == []
    stage.pairs.take_rows()
    stage.pairs.durable()
    stage.run.soon()
    assert stage.sent == [1]


def test_a_lane_that_turns_out_closed_costs_nothing() -> None:
    stage = Stage()
    stage.run_up(1)
    (lane,) = stage.lanes
    lane.is_broken = True
    stage.give(1)
    assert stage.sent == []
    stage.sender.ended(lane)  # what follows a send that wrote nothing
    assert stage.sent == [1]
    assert stage.busy() != [lane]
    assert stage.stats.attempts == 2


# a server that is gone


def test_after_losses_in_a_row_one_lane_alone_probes_until_a_good_reply() -> None:
    stage = Stage(Settings(in_flight=8, limits=Limits(breaker_failures=3)))
    stage.run_up(6)
    stage.give(*range(20))
    while stage.busy():
        stage.busy()[0].answer(LOST, after_s=0.001)
    assert isinstance(stage.events[-1], ConnectionTrouble)
    sent = len(stage.sent)
    for _ in range(3):
        stage.now = stage.wakes[-1]
        stage.run.soon()
        assert len(stage.busy()) == 1
        stage.busy()[0].answer(LOST)
    assert len(stage.sent) == sent + 3
    stage.now = stage.wakes[-1]
    stage.run.soon()
    stage.busy()[0].answer(created(1))
    assert any(isinstance(event, Recovered) for event in stage.events)
    assert len(stage.busy()) > 1


# lanes out of step


def test_a_stray_puts_all_that_its_lane_said_in_doubt_once() -> None:
    stage = Stage(Settings(in_flight=1))
    stage.give(1, 2, 3, 4)
    lane = stage.lane_of(1)
    lane.answer(created(11))
    lane.answer(rejected())
    lane.answer(Reply(409))
    stage.sender.strayed(lane)
    assert [(intent.seq, State(state)) for intent, state in stage.pairs.told] == [
        (1, State.CREATED),
        (2, State.REJECTED),
        (3, State.PENDING),
    ]
    assert stage.pairs.told[0][0].pair == (1, 2)
    assert stage.events[-1] == LaneShifted(3)
    told = len(stage.events)
    stage.sender.strayed(lane)
    assert len(stage.pairs.told) == 3
    assert len(stage.events) == told  # of no pair there is nothing to tell


def test_a_record_id_that_comes_twice_is_a_lane_out_of_step() -> None:
    stage = Stage(Settings(in_flight=1))
    stage.give(1, 2)
    lane = stage.lane_of(1)
    lane.answer(created(11))
    lane.answer(created(11))
    assert lane.faults == [Fault.SHIFTED]
    assert [intent.seq for intent, _ in stage.pairs.told] == [1]
    assert stage.settled()[2] is State.IN_DOUBT
    assert isinstance(lane, HandLane)
    stage.pairs.check()


def test_lanes_are_opened_as_they_are_needed_and_not_all_at_once() -> None:
    stock = LaneStock()
    stage = Stage()
    opened = []
    while more := stock.missing(64):
        opened.append(more)
        assert stock.missing(64) == 0  # those are on their way
        for _ in range(more):
            stock.opened(HandLane(stage))
    assert opened == [8, 16, 32, 8]
