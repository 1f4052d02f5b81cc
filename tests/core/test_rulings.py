"""Rulings as values: what a reply means for its pair, the server, the token and the run, and the streaks between."""

from __future__ import annotations

import pytest

from bulkwriter.core.rulings import News, PairEvent, Ruling, Rulings
from bulkwriter.core.stops import FEWEST_THROTTLES, NOTHING_TAKEN_S
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater
from bulkwriter.model import Fault, Reply
from bulkwriter.settings import Settings

from ..support.sender_stage import rejected


class Bench:
    """Rulings, and what a run would know beside them."""

    def __init__(self, *, has_quotas: bool = False, **chosen: object) -> None:
        self.rulings = Rulings(Settings(**chosen), has_quotas=has_quotas, create_role="a role")  # type: ignore[arg-type]
        self.now, self.created = 1_000.0, 3

    def rule(self, reply: Reply, *, is_current_token: bool = True, is_refreshed: bool = False) -> Ruling:
        return self.rulings.rule(
            reply,
            now=self.now,
            wall_s=1_764_000_000.0,
            created=self.created,
            has_created=True,
            is_current_token=is_current_token,
            is_refreshed=is_refreshed,
        )


@pytest.mark.parametrize(
    ("reply", "event", "news", "stop", "wants_token"),
    [
        (rejected(), PairEvent.HELD, News.GOOD, None, False),
        (Reply(429), PairEvent.BACK, News.THROTTLED, None, False),
        (Reply(409, retry_after="1"), PairEvent.BACK, News.THROTTLED, None, False),
        (Reply(0, fault=Fault.UNSENT), PairEvent.BACK, News.BAD, None, False),
        (Reply(401), PairEvent.BACK, News.GOOD, None, True),
        (Reply(403), PairEvent.BACK, News.GOOD, ConfigurationStop, False),
        (Reply(500), PairEvent.LOST, News.BAD, None, False),
        (Reply(503), PairEvent.LOST, News.BAD, None, False),
        (Reply(503, retry_after="30"), PairEvent.LOST, News.THROTTLED, None, False),
        (Reply(0, fault=Fault.SILENT), PairEvent.LOST, News.BAD, None, False),
    ],
)
def test_a_reply_is_ruled_on(
    reply: Reply, event: PairEvent, news: News, stop: type[BulkwriterError] | None, wants_token: bool
) -> None:
    ruling = Bench().rule(reply)
    assert (ruling.event, ruling.news, ruling.wants_token) == (event, news, wants_token)
    assert type(ruling.stop) is (stop or type(None))


def test_a_401_on_an_older_token_says_that_the_server_answers_and_nothing_else() -> None:
    ruling = Bench().rule(Reply(401), is_current_token=False)
    assert (ruling.event, ruling.news, ruling.wants_token, ruling.stop) == (PairEvent.BACK, News.GOOD, False, None)


@pytest.mark.parametrize("between", ["nothing", "a creation", "a refusal", "another token"])
def test_a_fresh_token_that_is_refused_stops_unless_something_has_shown_that_it_is_good(between: str) -> None:
    bench = Bench()
    assert bench.rule(Reply(401)).wants_token
    if between == "a creation":
        bench.created += 1
    elif between == "a refusal":
        bench.rule(rejected())
    ruling = bench.rule(Reply(401), is_refreshed=between != "another token")
    assert ruling.wants_token
    assert (ruling.stop is None) == (between != "nothing")
    assert isinstance(ruling.stop, ConfigurationStop) == (between == "nothing")


def test_throttles_with_nothing_taken_in_between_stop_where_the_user_wants_no_waits_and_no_quota_learns() -> None:
    for on_quota, has_quotas, stops in (("stop", False, True), ("stop", True, False), ("wait", False, False)):
        bench = Bench(has_quotas=has_quotas, on_quota=on_quota)
        found = []
        for _ in range(FEWEST_THROTTLES + 1):
            found.append(bench.rule(Reply(429)).stop)
            bench.now += NOTHING_TAKEN_S / FEWEST_THROTTLES
        assert not any(found[:-1])
        assert isinstance(found[-1], TryLater) == stops


def test_a_creation_ends_a_streak_of_throttles() -> None:
    bench = Bench(on_quota="stop")
    for _ in range(4 * FEWEST_THROTTLES):
        assert bench.rule(Reply(429)).stop is None
        bench.now += NOTHING_TAKEN_S / FEWEST_THROTTLES
        bench.created += 1


def test_a_stated_wait_that_is_too_long_stops() -> None:
    stop = Bench(on_quota="stop").rule(Reply(429, retry_after="61")).stop
    assert isinstance(stop, TryLater)
    assert stop.retry_at == 1_764_000_061.0


def test_the_same_refusal_again_and_again_stops() -> None:
    bench = Bench(max_same_rejections=3)
    verdict = bench.rule(rejected()).verdict

    def refused() -> BulkwriterError | None:
        return bench.rulings.refused(400, verdict, created=bench.created)

    assert [refused(), refused()] == [None, None]
    bench.created += 1
    assert [refused(), refused()] == [None, None]
    assert isinstance(refused(), ConfigurationStop)
    bench.rulings.source_begins()
    assert refused() is None, "another source has nothing to do with it"


def test_single_pairs_are_of_many_callers_so_too_many_refused_alike_are_told_and_stop_nothing() -> None:
    bench = Bench(max_same_rejections=3)
    verdict = bench.rule(rejected()).verdict
    told = []
    for n in range(8):
        bench.created += n == 4
        told.append(bench.rulings.refused_single(400, verdict, created=bench.created))
    assert told == [0, 0, 3, 0, 0, 0, 3, 0]
