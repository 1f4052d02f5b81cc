"""Calls that are made again: the pauses, what everybody waits for, and what ends the trying; by hand.

A call is a list of what comes of its tries; `Retried` keeps the pauses that were told, in virtual time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater
from bulkwriter.listing.retry_until_deadline import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    PAUSE_FLOOR_S,
    CallFailed,
    Outage,
    RetryUntilDeadline,
)
from bulkwriter.settings import Settings

from ..sim.loop import run_virtual
from ..support.chance import Highest, Lowest

SETTINGS = Settings(give_up_after_s=3_600.0)
AGAIN = CallFailed("HTTP 500")
THROTTLE = CallFailed("HTTP 429", is_slow_down=True)
HINT, WAY_OUT = "`bulkwriter login` again", "or do without"
FORBIDDEN = CallFailed("HTTP 403", is_forbidden=True)


class Retried:
    """One retry object, with what it told."""

    def __init__(self, settings: Settings = SETTINGS, *, rng: random.Random | None = None) -> None:
        self.pauses: list[float] = []
        self.clock = asyncio.get_running_loop().time
        self.retry = RetryUntilDeadline(
            settings,
            clocks=Clocks(clock=self.clock, wall=lambda: 0.0),
            tell=self._tell,
            rng=rng or Highest(),
            hint=HINT,
            way_out=WAY_OUT,
        )
        self.began: list[float] = []

    def _tell(self, failure: CallFailed, pause_s: float) -> None:
        self.pauses.append(pause_s)

    async def call(self, comes: Sequence[CallFailed], *, takes_s: float = 0.0, outage: Outage | None = None) -> str:
        """Fail as `comes` says, one try each, then succeed."""
        left = list(comes)

        async def step() -> str:
            self.began.append(self.clock())
            await asyncio.sleep(takes_s)
            if left:
                raise left.pop(0)
            return "there"

        return await self.retry(step, outage=outage)


def pauses_of(*comes: CallFailed, rng: random.Random | None = None) -> list[float]:
    async def main() -> list[float]:
        retried = Retried(rng=rng)
        assert await retried.call(comes) == "there"
        assert not retried.retry.trouble
        return retried.pauses

    return run_virtual(main)


def end_of(*comes: CallFailed, settings: Settings = SETTINGS) -> BulkwriterError:
    """The error that ends a call which fails so, the last failure again and again."""

    async def main() -> BulkwriterError:
        with pytest.raises(BulkwriterError) as raised:
            await Retried(settings).call([*comes, *[comes[-1]] * 1_000], takes_s=0.1)
        return raised.value

    return run_virtual(main)


def test_pauses_begin_with_the_first_and_double_up_to_the_longest() -> None:
    pauses = pauses_of(*[AGAIN] * 12)
    assert pauses == [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(12)]


def test_a_pause_is_never_nothing_and_never_less_than_stated() -> None:
    assert pauses_of(AGAIN, AGAIN, rng=Lowest()) == [PAUSE_FLOOR_S] * 2
    assert pauses_of(CallFailed("", retry_after_s=7.0), rng=Lowest()) == [7.0]
    assert pauses_of(CallFailed("", retry_after_s=0.0), rng=Lowest()) == [PAUSE_FLOOR_S]


def test_a_list_that_contradicts_itself_is_asked_for_ever_more_seldom() -> None:
    flawed = CallFailed("", is_flawed=True)
    assert pauses_of(*[flawed] * 10)[-1] == FIRST_PAUSE_S * 2**9 > LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("failure", "error", "said"),
    [
        (FORBIDDEN, ConfigurationStop, "does not let this token list"),
        (CallFailed("HTTP 404", is_misplaced=True), ConfigurationStop, "HTTP 404"),
        (CallFailed("no list", is_odd=True), ConfigurationStop, "no list"),
        (CallFailed("HTTP 429", retry_after_s=200_000.0), TryLater, "200,000 s"),
        (AGAIN, TryLater, "HTTP 500"),
        (THROTTLE, TryLater, "HTTP 429"),
    ],
)
def test_what_ends_the_trying(failure: CallFailed, error: type[BulkwriterError], said: str) -> None:
    end = end_of(failure)
    assert type(end) is error
    assert said in str(end)


def test_a_sign_in_that_failed_is_told_as_it_is() -> None:
    """The hint on roles, and the way out for a token without them, are not for a token that is refused."""
    stop = ConfigurationStop("the sign-in has expired", hint="sign in again", code="token")
    assert str(end_of(CallFailed("x", stop=stop))) == str(stop)
    bare = end_of(CallFailed("x", stop=ConfigurationStop("the token was refused (401)", code="token")))
    assert (bare.message, bare.hint, bare.code) == ("the token was refused (401)", HINT, "token")
    assert end_of(FORBIDDEN).hint == f"{HINT}; {WAY_OUT}"


def test_odd_lists_end_it_only_in_a_row_and_over_some_seconds() -> None:
    odd = CallFailed("", is_odd=True)
    assert len(pauses_of(odd, odd, AGAIN, odd, odd)) == 5


@pytest.mark.parametrize(("waits_s", "most_tries"), [(0.0, 75), (2 * 3_600.0, 8)])
def test_giving_up_counts_from_the_first_failure_and_no_wait_for_a_quota(waits_s: float, most_tries: int) -> None:
    """A list call waits for its quota before it is sent: those hours are no failure of the server."""

    async def main() -> int:
        retried = Retried()
        with pytest.raises(TryLater):
            await retried.call([AGAIN] * 1_000, takes_s=waits_s)
        assert retried.clock() > 3_600
        return len(retried.began)

    assert 6 < run_virtual(main) < most_tries


def test_a_deadline_of_many_calls_is_theirs_together_and_moves_with_each_success() -> None:
    settings = Settings(give_up_after_s=10.0)

    async def main() -> None:
        retried, outage = Retried(settings), Outage()
        for _ in range(10):  # each fails for less than the deadline
            await retried.call([AGAIN] * 4, outage=outage)
        with pytest.raises(TryLater):
            await asyncio.gather(*(retried.call([AGAIN] * 1_000, outage=outage) for _ in range(4)))
        assert outage.seconds >= 10.0

    run_virtual(main)


def test_an_answer_brings_no_deadline_nearer_however_often_it_comes() -> None:
    answer = CallFailed("HTTP 429", is_slow_down=True, is_answer=True, retry_after_s=1_800.0)

    async def main() -> None:
        retried = Retried()
        assert await retried.call([answer] * 20) == "there"
        assert retried.clock() >= 36_000

    run_virtual(main)


def test_everybody_waits_where_the_server_asks_for_it() -> None:
    async def main() -> list[float]:
        retried = Retried()
        asked = CallFailed("HTTP 429", is_slow_down=True, retry_after_s=5.0)
        first = asyncio.create_task(retried.call([asked]))
        await asyncio.sleep(1.0)
        await retried.call([])
        await first
        return retried.began

    assert run_virtual(main) == pytest.approx([0.0, 5.0, 5.0], abs=0.01)


def test_one_that_fails_keeps_nobody_else_waiting() -> None:
    async def main() -> list[float]:
        retried = Retried()
        first = asyncio.create_task(retried.call([CallFailed("HTTP 500", retry_after_s=5.0)]))
        await asyncio.sleep(1.0)
        await retried.call([])
        await first
        return retried.began

    assert run_virtual(main) == pytest.approx([0.0, 1.0, 5.0], abs=0.01)


def test_a_longer_wait_that_is_stated_meanwhile_is_kept_too() -> None:
    async def main() -> list[float]:
        retried = Retried()
        short, long = (CallFailed("", is_slow_down=True, retry_after_s=s) for s in (2.0, 9.0))
        await asyncio.gather(retried.call([short], takes_s=0.1), retried.call([long], takes_s=0.2))
        return retried.began[2:]

    assert all(at >= 9.2 for at in run_virtual(main))


def test_requests_to_wait_count_once_for_all_that_were_on_the_wire_and_less_with_each_success() -> None:
    async def main() -> list[float]:
        retried = Retried()
        await asyncio.gather(*(retried.call([THROTTLE], takes_s=0.1) for _ in range(4)))
        assert retried.pauses == [FIRST_PAUSE_S] * 4  # told each, counted once, and counted back by the successes
        await retried.call([THROTTLE] * 3)
        await retried.call([THROTTLE])
        return retried.pauses[4:]

    assert run_virtual(main) == [FIRST_PAUSE_S * 2**n for n in (0, 1, 2, 2)]
