"""What each reply does: where its pair goes, what it costs, and when it ends the run."""

from __future__ import annotations

import orjson
import pytest

from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater
from bulkwriter.events import Throttled
from bulkwriter.model import Fault, Reply, State
from bulkwriter.settings import Settings

from ..support.sender_stage import Stage, created, rejected

LOST = Reply(0, fault=Fault.LOST)

# where a reply puts its pair


@pytest.mark.parametrize(
    ("reply", "state"),
    [(created(7), State.CREATED), (rejected(), State.REJECTED), (LOST, State.IN_DOUBT), (Reply(500), State.IN_DOUBT)],
)
def test_an_outcome_counts_one_more_attempt(reply: Reply, state: State) -> None:
    stage = Stage()
    stage.give(1, attempts=2)
    stage.lane_of(1).answer(reply)
    (row,) = stage.pairs._rows
    assert (row[0], State(row[1]), row[2]) == (1, state, 3)


@pytest.mark.parametrize("reply", [Reply(409), Reply(429), Reply(409, b"", "1"), Reply(401)])
def test_what_was_surely_not_applied_goes_back_to_the_head_and_uses_no_attempt(reply: Reply) -> None:
    stage = Stage(Settings(in_flight=1))
    stage.give(1, 2)
    stage.lane_of(1).answer(reply)
    assert stage.ready() == [1, 2]
    assert stage.pairs.ready[0].attempts == 0
    assert stage.settled() == {}


def test_a_doubt_is_parked_with_its_floor_and_nothing_is_sent_again() -> None:
    stage = Stage()
    stage.give(1, floor=77)
    stage.lane_of(1).answer(Reply(0, fault=Fault.CUT))
    (doubt,), (row,) = stage.pairs.doubts, stage.pairs._rows
    assert (doubt.intent.seq, doubt.intent.attempts, doubt.intent.floor, doubt.ended_at) == (1, 1, 77, stage.now)
    assert orjson.loads(row[5] or "")["floor"] == 77
    assert stage.ready() == []
    assert stage.sent == [1]


def test_a_throttle_pauses_everyone_for_as_long_as_it_says() -> None:
    stage = Stage()
    stage.run_up(3)
    stage.give(1, 2)
    stage.lane_of(1).answer(Reply(429, retry_after="30"))
    until = stage.now + 30
    stage.give(3)
    assert stage.sent == [1, 2]
    assert stage.wakes[-1] >= until
    assert isinstance(stage.events[-1], Throttled)
    stage.now = stage.wakes[-1]
    stage.lane_of(2).answer(created(2), after_s=0.0)
    assert stage.sent[2:] == [1, 3]


def test_a_503_that_states_a_wait_pauses_everyone_and_leaves_a_doubt() -> None:
    stage = Stage()
    stage.run_up(3)
    stage.give(1, 2)
    stage.lane_of(1).answer(Reply(503, retry_after="30"))
    assert stage.settled()[1] is State.IN_DOUBT
    assert stage.admission.opens_at(stage.now) >= stage.now + 30


# tokens


def test_a_401_refreshes_the_token_once_and_goes_on() -> None:
    stage = Stage()
    stage.run_up(3)
    stage.give(1, 2)
    stage.lane_of(1).answer(Reply(401))
    stage.lane_of(2).answer(Reply(401))
    assert stage.token_refresh.refreshes == 1
    assert sorted(stage.ready()) == [1, 2]
    stage.now += 1
    stage.token(is_refreshed=True)
    stage.lane_of(1).answer(created(1))
    assert stage.stops == []


def test_a_401_on_an_older_token_says_nothing_about_the_current_one() -> None:
    stage = Stage()
    stage.run_up(3)
    stage.give(1, 2)
    stage.lane_of(1).answer(Reply(401))
    stage.now += 1
    stage.token(is_refreshed=True)
    stage.lane_of(2).answer(Reply(401))
    assert stage.stops == []
    assert stage.token_refresh.refreshes == 1


def test_a_401_on_a_fresh_token_is_a_stop_and_a_good_reply_makes_it_old() -> None:
    stage = Stage(Settings(in_flight=1))
    for is_good in (True, False):
        stage.give(1, 2)
        stage.lane_of(1).answer(Reply(401))
        stage.now += 1
        stage.token(is_refreshed=True)
        if is_good:
            stage.lane_of(1).answer(created(1))
            stage.lane_of(2).answer(created(2))
    stage.lane_of(1).answer(Reply(401))
    assert [type(error) for error in stage.stops] == [ConfigurationStop]
    assert stage.token_refresh.refreshes == 2


# stops


@pytest.mark.parametrize("reply", [Reply(403), Reply(405), Reply(307), Reply(404), Reply(400, b"<html>")])
def test_a_wrong_setting_is_a_stop_and_its_pair_stays_unsent(reply: Reply) -> None:
    stage = Stage()
    stage.give(1)
    stage.lane_of(1).answer(reply)
    assert [type(error) for error in stage.stops] == [ConfigurationStop]
    assert stage.ready() == [1]


def test_the_same_rejection_again_and_again_is_a_stop_another_one_is_not() -> None:
    stage = Stage(Settings(in_flight=1, max_same_rejections=3))
    stage.give(*range(9))
    for seq, message in enumerate(("a", "a", "b", "member 41: none", "member 42: none")):
        stage.lane_of(seq).answer(rejected(message))
    assert stage.stops == []
    stage.lane_of(5).answer(rejected("member 7: none"))
    assert isinstance(stage.stops[0], ConfigurationStop)
    assert stage.settled()[5] is State.REJECTED


@pytest.mark.parametrize(
    ("on_quota", "wait_s", "stop"), [("wait", 172_800, None), ("wait", 172_801, TryLater), ("stop", 61, TryLater)]
)
def test_a_wait_longer_than_we_may_is_a_stop(on_quota: str, wait_s: int, stop: type[BulkwriterError] | None) -> None:
    stage = Stage(Settings(on_quota=on_quota))  # type: ignore[arg-type]
    stage.give(1)
    stage.lane_of(1).answer(Reply(429, retry_after=str(wait_s)))
    assert [type(error) for error in stage.stops] == ([stop] if stop else [])


@pytest.mark.parametrize(
    ("fault", "has_connected", "is_stop"),
    [
        (Fault.TLS, False, True),
        (Fault.TLS, True, True),
        (Fault.NAME, False, True),
        (Fault.NAME, True, False),
        (Fault.REFUSED, False, False),
        (Fault.CONNECT_TIMEOUT, True, False),
    ],
)
def test_a_failure_to_connect_is_a_stop_where_a_setting_must_be_wrong(
    fault: Fault, has_connected: bool, is_stop: bool
) -> None:
    stage = Stage()
    if has_connected:
        stage.run_up(1)
    stage.opens = False
    for lane in stage.lanes:
        lane.is_broken = True
    stage.give(1)
    stage.sender.lane_failed(fault, "example.org")
    assert bool(stage.stops) == is_stop
    assert stage.ready() == [1]
