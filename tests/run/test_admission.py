"""Admission control with plain values: in which order it asks, and what news changes."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter.adaptive import Controller
from bulkwriter.core.retry import Breaker, Silence
from bulkwriter.core.rulings import News
from bulkwriter.core.suspension import Suspension
from bulkwriter.errors import TryLater
from bulkwriter.events import ConnectionTrouble, Recovered, ServerBusy, Throttled, Well
from bulkwriter.model import Fault, Reply, Verdict, VerdictKind
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.run.admission import Admission

from ..support.sender_stage import PlainControl

NOW = 1_000.0


class Asked:
    """A ceiling, or quotas: notes that it was asked."""

    def __init__(self, opens_at: float = NOW) -> None:
        self.at, self.asked, self.throttles = opens_at, 0, 0
        self.is_wary, self.is_told = False, True
        self.dates: list[tuple[str | None, float, float]] = []

    def ended(self) -> None:
        """A unit is spent."""

    def saw(self, date: str | None, *, took_s: float = 0.0, age_s: float = 0.0) -> None:
        self.dates.append((date, took_s, age_s))

    def opens_at(self, now: float) -> float:
        self.asked += 1
        return self.at

    def throttled(self, now: float, sent_at: float, stated_s: float | None) -> None:
        self.throttles += 1


def admission(ceiling: Asked | None = None, quotas: Asked | None = None) -> Admission:
    return Admission(
        Suspension(rng=random.Random(1)),
        cast(Controller, PlainControl(8)),
        Breaker(2, cap_s=5.0, rng=random.Random(1)),
        Silence(2),
        cast(Any, ceiling),
        cast(Any, quotas),
        give_up_after_s=60.0,
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("holds", ["control", "breaker", "ceiling", "nothing"])
def test_what_begins_a_wait_is_asked_only_if_all_before_it_say_now(holds: str) -> None:
    ceiling, quotas = Asked(NOW + 1 if holds == "ceiling" else NOW), Asked()
    asked = admission(ceiling, quotas)
    if holds == "control":
        asked.control.paused_until = NOW + 3
    if holds == "breaker":
        for _ in range(2):
            asked.bad("lost", sent_at=NOW, now=NOW)
    assert (asked.opens_at(NOW) > NOW) == (holds != "nothing")
    assert ceiling.asked == (holds in ("ceiling", "nothing"))
    assert quotas.asked == (holds == "nothing")


def test_one_alone_goes_until_something_was_created_and_while_the_server_is_gone() -> None:
    asked = admission()
    assert asked.limit() == 1
    assert asked.created(NOW, {NOW - 0.1: 1}) == ()
    assert asked.limit() == 8
    events = [*asked.bad("lost", sent_at=NOW, now=NOW), *asked.bad("lost", sent_at=NOW, now=NOW)]
    assert [type(event) for event in events] == [ConnectionTrouble]
    assert asked.limit() == 1
    asked.check()
    (recovered,) = asked.created(NOW + 7, {NOW + 6: 1})
    assert isinstance(recovered, Recovered)
    assert asked.limit() == 8


def test_a_probe_is_taken_once_and_is_still_there_while_its_lane_is_opened() -> None:
    asked = admission()
    for _ in range(2):
        asked.bad("lost", sent_at=NOW, now=NOW)
    at = asked.opens_at(NOW)
    assert NOW < at < math.inf
    asked.take_probe(at)
    assert asked.opens_at(at) <= at
    asked.sent(at, 1)
    assert asked.opens_at(at) == math.inf  # one is out
    (event,) = asked.unconnected("connection refused", at + 1)
    assert isinstance(event, ConnectionTrouble)
    assert at + 1 < asked.opens_at(at + 1) < math.inf


def test_as_many_go_together_as_the_ceiling_permits_and_each_is_booked() -> None:
    ceiling = Ceiling(5.0)
    ceiling._permits = 4
    asked = admission(cast(Any, ceiling))
    assert asked.room(NOW, 9) == 4
    asked.sent(NOW, 3)
    assert asked.room(NOW, 9) == 1


@pytest.mark.parametrize(("kind", "learns"), [(VerdictKind.THROTTLED, True), (VerdictKind.IN_DOUBT, False)])
def test_quotas_learn_from_throttles_and_not_from_a_busy_server(kind: VerdictKind, learns: bool) -> None:
    quotas = Asked()
    asked = admission(quotas=quotas)
    verdict: Any = SimpleNamespace(kind=kind, retry_after_s=30.0, message="", is_busy=False)
    (event,) = asked.heard(News.THROTTLED, cast(Verdict, verdict), sent_at=NOW, now=NOW, is_whole=True)
    assert event == (Throttled if learns else ServerBusy)(30.0, 30.0, 2)
    assert quotas.throttles == learns


@pytest.mark.parametrize(("retry_at", "goes_on"), [(None, True), (4_000.0, False)])
def test_a_reply_does_not_end_a_wait_until_a_named_time(retry_at: float | None, goes_on: bool) -> None:
    """A run that had stopped for a spent quota said "sending goes on after 0.0 s" when its last reply came."""
    asked = admission()
    asked.suspension.begin(TryLater("the quota is spent", retry_at=retry_at), NOW, NOW)
    events = asked.created(NOW, {NOW: 1})
    assert [type(event) for event in events] == ([Well] if goes_on else [])
    assert (asked.suspension.error is None) == goes_on


def test_a_look_that_found_a_record_closes_the_breaker_and_ends_the_canary() -> None:
    asked = admission()
    for _ in range(2):
        asked.bad("lost", sent_at=NOW, now=NOW)
    assert asked.found(NOW + 1, NOW - 1) == ()  # of an attempt from before all that
    assert asked.breaker.is_open
    (recovered,) = asked.found(NOW + 4, NOW + 1)
    assert isinstance(recovered, Recovered)
    assert asked.has_created
    assert not asked.breaker.is_open


def test_quotas_hear_every_date_that_a_reply_tells() -> None:
    """A creation's too: a lane tells it where it is new."""
    quotas = Asked()
    asked = admission(quotas=quotas)
    for reply in (Reply(200, date="1"), Reply(200), Reply(409, date="2", age_s=3.0), Reply(0, fault=Fault.LOST)):
        asked.saw(reply, 0.25)
    assert quotas.dates == [("1", 0.25, 0.0), ("2", 0.25, 3.0)]
