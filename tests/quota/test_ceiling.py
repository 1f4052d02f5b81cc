"""The user's ceiling: no second ever holds more than it allows, and it is nearly reached."""

from __future__ import annotations

import asyncio
import math
import random
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.quota.ceiling import Ceiling

from ..sim.loop import run_virtual


def sends(rate: float, seconds: float, *, quiet: tuple[float, float] = (0.0, 0.0), most: int = 64) -> list[float]:
    """When a sender that always has something sends, but in the quiet time: 1 to `most` at a time."""
    sent: list[float] = []
    wants = partial(random.Random(1).randint, 1, most)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ceiling = Ceiling(rate)
        timer: asyncio.TimerHandle | None = None

        def pump() -> None:
            nonlocal timer
            while True:
                now = loop.time()
                at = quiet[1] if quiet[0] <= now < quiet[1] else ceiling.opens_at(now)
                if at > now:
                    if at < math.inf:
                        if timer:
                            timer.cancel()
                        timer = loop.call_at(at, pump)
                    return
                count = ceiling.room(now, wants())
                sent.extend([now] * count)
                ceiling.book(now, count)

        feeding = loop.create_task(ceiling.feed(pump))
        pump()
        await asyncio.sleep(seconds)
        feeding.cancel()

    run_virtual(main)
    return sent


def most_in(sent: list[float], window_s: float) -> int:
    """The most sends in any half-open window."""
    most = first = 0
    for last, at in enumerate(sent):
        while sent[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("rate", [1.0, 2.0, 5.0, 10.0, 40.0, 49.0, 100.0, 500.0, 1_000.0, 5_000.0])
def test_no_second_holds_more_and_97_percent_are_reached(rate: float) -> None:
    seconds = 20 if rate < 100 else 4
    sent = sends(rate, seconds)
    assert most_in(sent, 1.0) <= rate
    assert len(sent) >= 0.97 * rate * (seconds - 1)


@pytest.mark.parametrize(("rate", "per_s"), [(1.5, 1), (2.5, 2), (9.99, 9)])
def test_of_a_broken_rate_a_second_holds_the_whole_part(rate: float, per_s: int) -> None:
    sent = sends(rate, 30)
    assert most_in(sent, 1.0) == per_s
    assert len(sent) >= 0.9 * per_s * 29


@pytest.mark.parametrize("rate", [0.5, 0.2, 0.1, 0.03])
def test_below_one_a_second_two_sends_are_never_closer(rate: float) -> None:
    sent = sends(rate, 20 / rate)
    assert min(b - a for a, b in pairwise(sent)) >= 1 / rate
    assert len(sent) >= 18


def test_the_server_may_see_them_one_percent_closer_together() -> None:
    assert most_in(sends(100.0, 10), 1.009) <= 100


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(rate=st.floats(0.2, 60), begin=st.floats(0.1, 5), length=st.floats(0, 8))
def test_nothing_is_saved_up_in_a_quiet_time(rate: float, begin: float, length: float) -> None:
    sent = sends(rate, 15, quiet=(begin, begin + length))
    assert most_in(sent, 1.0) <= max(1, math.floor(rate))
    if rate < 1:
        assert all(b - a >= 1 / rate for a, b in pairwise(sent))


def test_as_many_go_together_as_the_second_still_holds() -> None:
    ceiling = Ceiling(5.0)
    assert ceiling.room(0.0, 9) == 0  # nothing is permitted yet
    ceiling._permits = 20
    assert ceiling.room(0.0, 3) == 3
    assert ceiling.room(0.0, 9) == 5
    ceiling.book(0.0, 2)
    ceiling.book(0.5, 3)
    assert ceiling.opens_at(1.005) > 1.005  # a second, and a little for the network
    assert ceiling.opens_at(1.02) <= 1.02
    assert ceiling.room(1.02, 9) == 2
    assert ceiling.room(1.6, 9) == 5


def test_the_first_goes_as_soon_as_it_is_fed() -> None:
    assert sends(0.01, 1.0)[0] < 0.01
