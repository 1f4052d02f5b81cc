"""Errors belong to the call or the source that made them: whatever one caller does, or the server, the others go on.

In virtual time, on the stage of `test_waits`, so that an outage of hours takes no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bulkwriter import (
    BulkWriter,
    BulkwriterError,
    ConfigurationStop,
    NotWell,
    Outcome,
    SourceError,
    State,
    TryLater,
    UsageError,
    events,
)
from bulkwriter.net.auth import Token
from bulkwriter.run.health import SILENT_S
from tests.library.test_waits import Stage, stage
from tests.sim.fates import CALM
from tests.sim.lists import SimTokens
from tests.sim.world import plain_world

OURS = [(1, member) for member in range(1, 9)]
THEIRS = [(2, member) for member in range(1, 9)]


def told(here: Stage, kind: type[events.Event]) -> list[str]:
    return [line for line in here.process.trace.lines if f"told {kind.__name__}(" in line]


async def goes_on(writer: BulkWriter, pair: tuple[int, int] = (9, 9)) -> None:
    assert (await writer.write(pair)).state is State.CREATED
    assert writer.is_well()
    assert writer.error is None


# a source's errors


async def test_a_writer_that_was_never_opened_is_not_well() -> None:
    writer = BulkWriter(plain_world([], lives=[]).settings)
    assert not writer.is_well()
    assert writer.error is None


def test_a_source_that_is_not_the_journals_ends_alone() -> None:
    async def act(writer: BulkWriter) -> None:
        await writer.write_all(OURS)
        with pytest.raises(SourceError, match="the journal has"):
            await writer.write_all(THEIRS)
        ended = writer.summary().ended
        assert ended is not None
        assert ended.code == "source"
        await goes_on(writer)
        assert (await writer.write_all(OURS)).counts.created == len(OURS) + 1

    stage().run(act)


def test_singles_go_on_beside_a_source_that_fails() -> None:
    def rows() -> Any:
        yield from OURS
        raise KeyError("mine")

    async def act(writer: BulkWriter) -> None:
        writing = [asyncio.create_task(writer.write(pair)) for pair in THEIRS]
        with pytest.raises(KeyError):
            await writer.write_all(rows())
        assert {(await task).state for task in writing} == {State.CREATED}
        await goes_on(writer)

    stage().run(act)


def test_a_source_of_refused_pairs_ends_alone_and_the_next_one_begins_anew() -> None:
    refused = [(3, member) for member in range(1, 30)]

    async def act(writer: BulkWriter) -> None:
        with pytest.raises(ConfigurationStop, match="in a row were rejected"):
            await writer.write_all(refused)
        await goes_on(writer)

    here = stage(refused=set(refused), settings={"max_same_rejections": 5, "journal": None})
    here.run(act)
    assert not told(here, events.Unwell)


def test_bad_pairs_of_one_caller_are_outcomes_and_a_warning() -> None:
    refused = [(3, member) for member in range(1, 60)]

    async def act(writer: BulkWriter) -> None:
        outcomes = [await writer.write(pair) for pair in refused]
        assert {outcome.state for outcome in outcomes} == {State.REJECTED}
        await goes_on(writer)

    here = stage(refused=set(refused))
    here.run(act)
    assert len(told(here, events.SameRejections)) == 1


# the server, the token, the settings


def test_an_outage_of_twice_the_time_to_give_up_pauses_everybody_and_then_goes_on() -> None:
    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        await asyncio.sleep(5.0)  # the outage has begun
        writing = [asyncio.create_task(writer.write(pair)) for pair in OURS]
        ends = await asyncio.gather(*writing, return_exceptions=True)
        assert {type(end) for end in ends} <= {NotWell, Outcome}
        assert any(isinstance(end, NotWell) for end in ends)
        assert not writer.is_well()
        assert isinstance(writer.error, TryLater)
        await writer.well()
        assert writer._engine.ports.clock() >= 124.0
        assert {(await writer.write(pair)).state for pair in OURS} == {State.CREATED}
        await goes_on(writer, (9, 10))

    here = stage(outages=((4.0, 124.0),), settings={"give_up_after_s": 60.0})
    here.run(act)
    assert not told(here, events.Stopping)


def test_a_source_in_that_outage_ends_for_later_and_another_goes_on_when_it_is_over() -> None:
    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        await asyncio.sleep(5.0)
        with pytest.raises(TryLater) as raised:
            await writer.write_all(OURS)
        assert raised.value.code == "gone"
        assert not writer.is_well()
        await writer.well()  # by a list call: no pair is there to try
        assert (await writer.write_all(OURS)).counts.pending == 0

    here = stage(outages=((4.0, 124.0),), settings={"give_up_after_s": 60.0})
    here.run(act)
    assert here.server.ours().keys() >= set(OURS)


class Tokens(SimTokens):
    """Tokens of which the first tries fail, by `error`."""

    def __init__(self, *args: Any, error: Callable[[], BulkwriterError], fails: int) -> None:
        super().__init__(*args)
        self.error, self.fails, self.asked = error, fails, 0

    async def current(self) -> Token:
        self.asked += 1
        if self.asked <= self.fails:
            raise self.error()
        return await super().current()


@pytest.mark.parametrize("existing", ["check", "skip"])
@pytest.mark.parametrize(
    "error", [lambda: TryLater("no token"), lambda: ConfigurationStop("no token"), lambda: UsageError("no token")]
)
def test_a_token_call_that_fails_is_made_again_and_ends_nothing(
    error: Callable[[], BulkwriterError], existing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Tokens] = []

    def tokens(*args: Any) -> Tokens:
        made.append(Tokens(*args, error=error, fails=3))
        return made[0]

    monkeypatch.setattr("tests.sim.assembly.SimTokens", tokens)

    async def act(writer: BulkWriter) -> None:
        writing = [asyncio.create_task(writer.write(pair)) for pair in OURS]
        await asyncio.sleep(0.5)
        assert writer.error is not None
        assert writer.error.message == "no token"
        assert {(await task).state for task in writing} == {State.CREATED}
        await goes_on(writer)

    here = stage(settings={"existing": existing})
    here.run(act)
    assert made[0].asked < 30, "with growing pauses, and once for all who wait"
    assert (len(told(here, events.Unwell)), len(told(here, events.Well))) == (1, 1)


class StaleTokens(SimTokens):
    """A source whose first `stale` new tokens the server refuses as well, such as a cache of tokens."""

    stale = 1

    async def refresh(self, stale_generation: int) -> Token:
        token = await super().refresh(stale_generation)
        if token.generation == stale_generation + 1 <= self.stale:
            self._server.revoke()
        return token


@pytest.mark.parametrize(("doubts", "stale"), [(False, 1), (False, 3), (True, 1)])
def test_after_two_refused_tokens_in_a_row_the_next_try_asks_for_another(
    doubts: bool, stale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tries repeated the refused token for as long as the source of tokens was not due to renew it."""
    monkeypatch.setattr("tests.sim.assembly.SimTokens", StaleTokens)
    monkeypatch.setattr(StaleTokens, "stale", stale)

    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        if doubts:
            here.weather.odds = replace(CALM, creates={"reset after": 1.0})
            doubt = asyncio.create_task(writer.write((1, 1)))
            await asyncio.sleep(1.0)
            here.weather.calm()
        here.server.revoke()
        attempts = here.watch.attempts
        assert (await writer.write((9, 10))).state is State.CREATED
        assert here.watch.attempts - attempts == stale + 2, "each token is sent once"
        await goes_on(writer, (9, 11))
        if doubts:
            assert (await doubt).state is State.CREATED

    here = stage()
    here.run(act)


@pytest.mark.parametrize("patience_s", [5.0, 400.0])
def test_a_role_that_is_missing_for_a_while_fails_only_who_waits_longer_than_it_wants(patience_s: float) -> None:
    """403 to everything.  Nobody else can tell us that the role was given, so one request tries now and then."""

    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        here.weather.odds = replace(CALM, creates={"403": 1.0})
        writing = [asyncio.create_task(writer.write(pair)) for pair in OURS]
        await asyncio.sleep(60.0)
        attempts = here.watch.attempts
        assert attempts < 15
        assert isinstance(writer.error, ConfigurationStop)
        here.weather.calm()
        ends = await asyncio.gather(*writing, return_exceptions=True)
        if patience_s < 60:
            assert {type(end) for end in ends} == {NotWell}
            assert all(isinstance(end.__cause__, ConfigurationStop) for end in ends if isinstance(end, NotWell))
            await writer.well()
            ends = [await writer.write(pair) for pair in OURS]
        assert {end.state for end in ends if isinstance(end, Outcome)} == {State.CREATED}
        await goes_on(writer, (9, 10))

    here = stage(settings={"patience_s": patience_s})
    here.run(act)
    assert max(here.server.ours().values()) == 1


def test_a_service_that_takes_no_calls_before_it_is_well_becomes_well_by_itself() -> None:
    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        here.weather.odds = replace(CALM, creates={"403": 1.0}, lists={"403": 1.0})
        with pytest.raises(ConfigurationStop):
            await writer.write_all(OURS)
        assert not writer.is_well()
        await asyncio.sleep(100.0)
        assert not writer.is_well()
        here.weather.calm()
        async with asyncio.timeout(310.0):
            await writer.well()
        assert (await writer.write_all(OURS)).counts.pending == 0

    here = stage(settings={"existing": "check"})
    here.run(act)


@pytest.mark.parametrize("kind", ["cut reply", "500 after"])
def test_a_server_whose_replies_can_never_be_read_is_named(kind: str) -> None:
    """Lists show what it wrote, so all goes on, if slowly: nobody would know why."""

    async def act(writer: BulkWriter) -> None:
        for pair in OURS[:2]:
            await writer.write(pair)
            assert writer.is_well()
        for pair in OURS[2:5]:
            await writer.write(pair)
            assert not writer.is_well()
            assert writer.error is not None
            assert "had a reply that could be read" in writer.error.message
            assert "base_url" in writer.error.hint
        here.weather.calm()
        async with asyncio.timeout(SILENT_S + 1.0):
            await writer.well()
        await goes_on(writer)
        here.weather.odds = replace(CALM, creates={kind: 1.0})
        for pair in OURS[6:]:
            await writer.write(pair)
        assert writer.is_well()  # a few among others

    here = stage(odds=replace(CALM, creates={kind: 1.0}))
    here.run(act)
    assert len(told(here, events.Unreadable)) == 1


def test_a_doubt_is_looked_up_once_lists_are_allowed_again() -> None:
    async def act(writer: BulkWriter) -> None:
        here.weather.odds = replace(CALM, creates={"reset after": 1.0}, lists={"403": 1.0})
        assert (await writer.write((1, 1))).state is State.IN_DOUBT
        here.weather.calm()
        await asyncio.sleep(310.0)
        assert (await writer.write((1, 1))).state is State.EXISTING  # there, and nothing shows whose it is

    here = stage()
    here.run(act)


def test_a_doubt_is_looked_up_soon_after_a_token_that_was_refused_for_a_moment() -> None:
    """Lists were forbidden just then as well, and nobody gives another token: the doubt waited for five minutes."""

    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        here.weather.odds = replace(CALM, creates={"reset after": 1.0})
        doubt = asyncio.create_task(writer.write((1, 1)))
        await asyncio.sleep(0.1)
        here.weather.odds = replace(CALM, creates={"403": 1.0}, lists={"403": 1.0})
        refused = asyncio.create_task(writer.write((1, 2)))
        assert (await doubt).state is State.IN_DOUBT  # no look is possible, as far as is known
        here.weather.calm()
        assert (await refused).state is State.CREATED
        await asyncio.sleep(30.0)
        assert (await writer.write((1, 1))).state in (State.CREATED, State.EXISTING)

    here = stage()
    here.run(act)


def test_looks_that_failed_are_no_trouble_once_no_doubt_is_left() -> None:
    """Nobody would look again, so the writer would be unwell for ever; found by simulation, seed 20002092."""

    async def act(writer: BulkWriter) -> None:
        await goes_on(writer)
        engine, now = writer._engine, asyncio.get_running_loop().time()
        engine.admission.breaker.record_bad(now, "lost")
        engine.looker.failures.since = now
        await asyncio.sleep(100.0)
        assert writer.is_well()

    stage().run(act)


# the end


def test_whoever_waits_for_a_writer_that_ends_is_told() -> None:
    async def act(writer: BulkWriter) -> asyncio.Task[None]:
        await goes_on(writer)
        here.weather.odds = replace(CALM, creates={"403": 1.0})
        writing = asyncio.create_task(writer.write((1, 1)))
        await asyncio.sleep(1.0)
        waiting = asyncio.create_task(writer.well())
        await asyncio.sleep(1.0)
        writer.drain("a test")
        for task in (writing, waiting):
            with pytest.raises(TryLater, match="ends"):
                await task
        assert not writer.is_well()
        closing = asyncio.create_task(writer.aclose())
        await asyncio.sleep(0)
        with pytest.raises(TryLater, match="ends"):
            await writer.write((1, 2))
        await closing
        with pytest.raises(TryLater, match="has ended"):  # a service answers both alike: ask again later
            await writer.write((1, 2))
        return waiting

    here = stage()
    here.run(act)


@pytest.mark.parametrize(
    "trouble",
    [
        {"odds": replace(CALM, creates={"reset after": 1.0}, lists={"500": 1.0})},
        {"odds": replace(CALM, creates={"silence": 1.0}, lists={"silence": 1.0})},
        {"odds": replace(CALM, creates={"429 with a wait": 1.0})},
        {"odds": replace(CALM, creates={"403": 1.0})},
        {"outages": ((0.0, 600.0),)},
        {"outages": ((0.0, 600.0),), "settings": {"existing": "check"}},
    ],
)
def test_the_end_takes_no_longer_than_requests_in_flight_are_given(trouble: dict[str, Any]) -> None:
    async def act(writer: BulkWriter) -> tuple[float, list[asyncio.Task[Outcome]]]:
        writing = [asyncio.create_task(writer.write(pair)) for pair in OURS]
        await asyncio.sleep(3.0)
        assert not any(task.done() for task in writing)
        return here.process.now, writing

    here = stage(**trouble)
    began_at, writing = here.run(act)
    for task in writing:
        told = task.exception() or task.result().state
        assert told is State.IN_DOUBT or isinstance(told, TryLater)
    assert here.process.now <= began_at + here.world.settings.limits.drain_s + 2.0


def test_start_and_aclose_beside_the_context_manager() -> None:
    here = stage()

    async def main() -> None:
        writer = BulkWriter(here.world.settings, observers=[here.watch.tell], assembly=here.assembly)
        await writer.aclose()  # nothing to close
        await writer.start()
        here.watch.engine = writer._engine
        await goes_on(writer)
        await writer.aclose()
        await writer.aclose()
        assert not writer.is_well()
        with pytest.raises(TryLater, match="has ended"):
            await writer.write((1, 1))
        with pytest.raises(TryLater, match="has ended"):
            await writer.well()

    here.process.loop.run(main())
    assert not here.watch.failures + here.process.loop.failures


def test_who_waits_for_room_in_a_writer_that_is_not_well_waits_no_longer_than_it_wants() -> None:
    """Such a call has no pair in the writer yet, so nothing but its patience ends it."""

    async def act(writer: BulkWriter) -> None:
        calls = [writer.write(pair) for pair in OURS] + [writer.write_many(THEIRS)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {NotWell}
        hints = [end.hint for end in ends if isinstance(end, NotWell)]
        assert sum("was not taken" in hint for hint in hints) == len(hints) - 2
        here.weather.odds = CALM
        await asyncio.sleep(400.0)
        await goes_on(writer)

    settings = {"patience_s": 10.0, "most_outstanding": 2}
    here = stage(odds=replace(CALM, creates={"403": 1.0}, lists={"403": 1.0}), settings=settings)
    here.run(act)
