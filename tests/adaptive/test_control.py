"""The shared backoff, by tables worked out by hand in virtual time."""

from __future__ import annotations

import random

import pytest

from bulkwriter.adaptive import SharedBackoff


class Highest(random.Random):
    """Chance at its highest: uniform(a, b) is b."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Lowest(random.Random):
    """Chance at its lowest: uniform(a, b) is a."""

    def uniform(self, a: float, b: float) -> float:
        return a


def control(in_flight: int = 64, *, rng: random.Random | None = None, pause_cap_s: float = 60.0) -> SharedBackoff:
    return SharedBackoff(in_flight, pause_cap_s=pause_cap_s, rng=rng or Highest())


def round_trip(c: SharedBackoff, now: float, count: int | None = None) -> None:
    """Send `count` at `now`, by default as many as may be, and have them all answered 0.1 s later."""
    count = c.in_flight_limit if count is None else count
    for _ in range(count):
        c.on_sent(now)
    for _ in range(count):
        c.on_good(now + 0.1, now, 0.1)
        c.check()


def throttle(c: SharedBackoff, now: float, retry_after_s: float | None = None) -> float:
    """Send one at `now`; it is throttled 0.01 s later."""
    c.on_sent(now)
    end = c.on_throttle(now + 0.01, now, retry_after_s)
    c.check()
    return end


def grown(limit: int, in_flight: int = 64) -> SharedBackoff:
    c, now = control(in_flight), 0.0
    while c.limit < limit:
        round_trip(c, now)
        now += 0.1
    assert c.limit == limit
    return c


# ---- the limit


def test_it_starts_low_and_doubles_each_round_trip() -> None:
    c, limits = control(64), []
    for n in range(6):
        limits.append(c.in_flight_limit)
        round_trip(c, n * 0.1)
    assert limits == [4, 8, 16, 32, 64, 64]
    assert control(2).in_flight_limit == 2


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    c = control()
    for n in range(50):
        round_trip(c, n * 0.1, 3)
    assert c.limit == 4


def test_after_a_throttle_it_is_halved_and_grows_by_one_a_round_trip() -> None:
    c = grown(32)
    resume_at = throttle(c, 10.0)
    assert c.limit == 16
    round_trip(c, resume_at)  # the canary
    limits = []
    for n in range(1, 5):
        limits.append(c.in_flight_limit)
        round_trip(c, resume_at + n * 0.1)
    assert limits == [16, 17, 18, 19]


def test_it_is_never_below_one() -> None:
    c, now = control(1), 0.0
    for _ in range(5):
        round_trip(c, now)
        now = throttle(c, now + 0.2)
    assert c.limit == 1


def test_echoes_of_one_event_cut_once() -> None:
    c = grown(64)
    for _ in range(64):
        c.on_sent(10.0)
    end = c.on_throttle(10.10, 10.0, None)
    for n in range(63):
        assert c.on_throttle(10.11 + n * 0.001, 10.0, None) == end
        c.check()
    assert c.limit == 32
    assert end == 10.10 + 0.25


def test_a_throttled_canary_lengthens_the_delay_and_does_not_halve_again() -> None:
    c = grown(64)
    end, pauses = 10.0, []
    for _ in range(5):
        began = end
        end = throttle(c, began)
        pauses.append(round(end - began - 0.01, 6))
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert c.limit == 32


# ---- the pause


def test_our_own_delay_grows_to_its_cap_and_shrinks_with_good_replies() -> None:
    c, now, pauses = control(pause_cap_s=2.0), 0.0, []
    for _ in range(6):
        end = throttle(c, now)
        pauses.append(round(end - now - 0.01, 6))
        now = end
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    for _ in range(3):  # counted up three times, so three good replies count it down
        round_trip(c, now, 1)
        now += 1
    assert throttle(c, now) == pytest.approx(now + 0.01 + 0.25)


def test_good_replies_from_before_the_pause_do_not_shorten_the_delay() -> None:
    c = grown(16)
    for _ in range(16):
        c.on_sent(10.0)
    end = c.on_throttle(10.1, 10.0, None)
    for _ in range(15):
        c.on_good(10.2, 10.0, 0.2)
    assert throttle(c, end) == pytest.approx(end + 0.01 + 0.5)


def test_our_own_delay_is_never_nothing() -> None:
    assert throttle(control(rng=Lowest()), 0.0) == pytest.approx(0.01 + 0.05)
    assert throttle(control(rng=Lowest(), pause_cap_s=0.001), 0.0) == pytest.approx(0.01 + 0.001)


@pytest.mark.parametrize(
    ("rng", "stated", "pause"),
    [
        (Lowest(), 1.0, 1.0),  # never less than stated
        (Highest(), 1.0, 1.05),  # jitter only after it
        (Highest(), 3_600.0, 3_602.0),  # and little of it
        (Highest(), 0.0, 0.25),  # "at once" is still a throttle
        (Highest(), 0.1, 0.25),
    ],
)
def test_a_stated_retry_after_is_obeyed(rng: random.Random, stated: float, pause: float) -> None:
    assert throttle(control(rng=rng), 5.0, stated) == pytest.approx(5.01 + pause)


def test_an_echo_extends_the_pause_to_its_later_retry_after_and_does_not_shorten_it() -> None:
    c = control(rng=Lowest())
    for _ in range(4):
        c.on_sent(0.0)
    assert c.on_throttle(0.1, 0.0, 1.0) == 1.1
    assert c.on_throttle(0.2, 0.0, 1.0) == 1.2
    assert c.on_throttle(0.3, 0.0, 0.0) == 1.2
    assert c.on_throttle(0.4, 0.0, None) == 1.2
    assert c.limit == 2


def test_a_server_that_always_says_one_second_is_asked_less_and_less() -> None:
    c, now, pauses = control(), 0.0, []
    for _ in range(10):
        end = throttle(c, now, 1.0)
        pauses.append(round(end - now - 0.01, 6))
        now = end
    assert pauses == [1.05, 1.05, 1.05, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


# ---- the canary


def test_after_a_pause_one_request_goes_first() -> None:
    c = grown(16)
    end = throttle(c, 10.0)
    assert c.in_flight_limit == 1
    c.on_sent(end)
    assert c.in_flight_limit == 1
    c.on_good(end + 0.1, end, 0.1)
    assert c.in_flight_limit == 8


def test_replies_from_before_the_pause_do_not_release_the_others() -> None:
    c = grown(16)
    for _ in range(16):
        c.on_sent(10.0)
    end = c.on_throttle(10.1, 10.0, None)
    for _ in range(14):
        c.on_good(10.2, 10.0, 0.2)
        c.check()
    assert c.in_flight_limit == 2  # one is left over, and beside it goes the canary
    c.on_sent(end)
    c.on_good(end + 0.1, 10.0, 5.0)
    assert c.in_flight_limit == 1
    c.on_good(end + 0.2, end, 0.2)
    assert c.in_flight_limit == 8


def test_a_lost_canary_is_followed_by_another() -> None:
    c = grown(16)
    end = throttle(c, 10.0)
    c.on_sent(end)
    c.note_error(end + 90, end)
    c.check()
    assert c.in_flight_limit == 1
    c.on_sent(end + 90)
    c.on_good(end + 90.1, end + 90, 0.1)
    assert c.in_flight_limit == 8


def test_errors_are_not_throttles() -> None:
    c = grown(16)
    for _ in range(16):
        c.on_sent(10.0)
    for _ in range(16):
        c.note_error(11.0, 10.0)
        c.check()
    assert c.limit == 16
    assert c.paused_until == 0.0


def test_the_same_seed_gives_the_same_pauses() -> None:
    one, two = (control(rng=random.Random(5)) for _ in range(2))
    for c in (one, two):
        now = 0.0
        for stated in (None, 1.0, None, 0.5):
            now = throttle(c, now, stated)
    assert one.paused_until == two.paused_until
