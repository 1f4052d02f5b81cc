"""The token source: single flight, shared failures, and renewal in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater, UsageError
from bulkwriter.net.auth import RENEW_AGAIN_S, Token, TokenSource

from ..conftest import CANARY
from ..support.token_fakes import Clock, all_words


class Scripted:
    """A supply that plays a script of (value, life) and errors, each after a turn of the loop."""

    def __init__(self, *script: tuple[str, float] | BulkwriterError) -> None:
        self.script = list(script)
        self.asked: list[bool] = []

    async def __call__(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        self.asked.append(is_first)
        await asyncio.sleep(0)
        step = self.script.pop(0)
        if isinstance(step, BulkwriterError):
            raise step
        return step


# ---- single flight


async def test_many_at_once_make_one_token() -> None:
    supply = Scripted(("one", math.inf), ("two", math.inf))
    source = TokenSource(supply)
    assert {await t for t in [asyncio.ensure_future(source.current()) for _ in range(64)]} == {Token("one", 0)}
    refreshed = await asyncio.gather(*(source.refresh(0) for _ in range(64)))
    assert set(refreshed) == {Token("two", 1)}
    assert supply.asked == [True, False]
    assert await source.refresh(0) == Token("two", 1)  # newer than the stale one: nothing is asked


async def test_many_at_once_share_a_failure() -> None:
    supply = Scripted(ConfigurationStop("wrong password", hint="check it"), ("one", math.inf))
    source = TokenSource(supply)
    errors = await asyncio.gather(*(source.current() for _ in range(64)), return_exceptions=True)
    assert {str(e) for e in errors} == {"wrong password\n  check it"}
    assert all(type(e) is ConfigurationStop for e in errors)
    assert len({id(e) for e in errors}) == 64  # each task raises its own
    assert supply.asked == [True]
    assert await source.current() == Token("one", 0)  # who asks later asks anew


async def test_a_shared_failure_keeps_its_instant() -> None:
    source = TokenSource(Scripted(TryLater("busy", retry_at=5.0)))
    errors = await asyncio.gather(source.current(), source.current(), return_exceptions=True)
    assert [e.retry_at for e in errors if isinstance(e, TryLater)] == [5.0, 5.0]


async def test_whoever_waits_takes_over_from_one_that_is_cancelled() -> None:
    supply = Scripted(("one", math.inf), ("two", math.inf))
    source = TokenSource(supply)
    first, second = (asyncio.ensure_future(source.current()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).generation == 0
    with pytest.raises(asyncio.CancelledError):
        await first
    assert supply.asked == [True, True]


async def test_an_unusable_value_is_never_handed_out() -> None:
    with pytest.raises(UsageError) as error:
        await TokenSource(Scripted((f"{CANARY}\r\nX-Evil: 1", math.inf))).current()
    assert CANARY not in all_words(error.value)


# ---- renewal


async def at(clock: Clock, now: float, ask: Callable[[], Awaitable[Token]]) -> str:
    clock.now = 1_000.0 + now
    return (await ask()).value


async def test_a_token_is_renewed_when_its_supply_wants_to_be_asked() -> None:
    clock, supply = Clock(), Scripted(("one", 80.0), ("two", 80.0))
    source = TokenSource(supply, clock=clock)
    assert [await at(clock, t, source.current) for t in (0, 79.9, 80.1, 160)] == ["one", "one", "two", "two"]


async def test_a_supply_that_has_no_other_token_yet_gives_the_same_again() -> None:
    """It is the same generation then, so that nobody takes it for a new one; after a refusal it is another."""
    clock, supply = Clock(), Scripted(("one", 80.0), ("one", 10.0), ("one", 10.0))
    source = TokenSource(supply, clock=clock)
    assert [(await source.current()).generation, await at(clock, 81, source.current)] == [0, "one"]
    assert await source.current() == Token("one", 0)
    assert await source.refresh(0) == Token("one", 1)


async def test_a_token_of_a_moments_life_is_not_renewed_without_end() -> None:
    clock, supply = Clock(), Scripted(("one", 0.001), ("two", 0.001))
    source = TokenSource(supply, clock=clock)
    assert [await at(clock, t, source.current) for t in (0, 0.9, 1.1)] == ["one", "one", "two"]


async def test_a_renewal_that_finds_the_server_gone_is_tried_again_later() -> None:
    clock, supply = Clock(), Scripted(("one", 100.0), TryLater("gone"), ("two", 100.0))
    source = TokenSource(supply, clock=clock)
    times = (0, 101, 101 + RENEW_AGAIN_S - 1, 101 + RENEW_AGAIN_S + 1)
    assert [await at(clock, t, source.current) for t in times] == ["one", "one", "one", "two"]


async def test_a_renewal_that_is_refused_is_left_to_the_servers_401() -> None:
    clock, supply = Clock(), Scripted(("one", 100.0), ConfigurationStop("wrong"), ConfigurationStop("wrong"))
    source = TokenSource(supply, clock=clock)
    assert [await at(clock, t, source.current) for t in (0, 101, 10_000)] == ["one", "one", "one"]
    assert len(supply.asked) == 2
    with pytest.raises(ConfigurationStop):
        await source.refresh(0)


async def test_nobody_but_the_renewer_waits_for_a_renewal() -> None:
    clock, gate = Clock(), asyncio.Event()

    async def slow(*, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if not is_first:
            await gate.wait()
        return ("one" if is_first else "two"), 100.0

    source = TokenSource(slow, clock=clock)
    await source.current()
    clock.now += 110
    renewing = asyncio.ensure_future(source.current())
    await asyncio.sleep(0)
    assert (await source.current()).value == "one"
    gate.set()
    assert (await renewing).value == "two"
    assert (await source.current()).value == "two"
