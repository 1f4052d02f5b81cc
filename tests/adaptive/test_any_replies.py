"""Whatever a server answers, in whatever order: the controller's invariants hold, and it never waits for hours."""

from __future__ import annotations

import random

import pytest

from bulkwriter.adaptive import Controller

LONGEST_S = 305.0  # a gap of five minutes, and a stated wait of some seconds
SEEDS = range(400)


def answer(control: Controller, now: float, sent_at: float, kind: int, rng: random.Random) -> None:
    """One of the four ways in which an exchange ends."""
    if kind == 0:
        control.on_good(now, sent_at, max(1e-6, now - sent_at))
    elif kind == 1:
        control.on_throttle(now, sent_at, rng.choice([None, None, 0.0, 0.5, 1.0, 5.0]))
    elif kind == 2:
        control.on_busy(now, sent_at)
    else:
        control.note_error(now, sent_at)


def live(seed: int, replies: int = 300) -> None:
    rng = random.Random(seed)  # chance that can be replayed is the point
    control = Controller(
        rng.choice([1, 2, 8, 64]), pause_cap_s=60.0, rng=random.Random(seed), min_rate=rng.choice([0, 0, 3])
    )
    if rng.random() < 0.2:
        control.restore({"rate_per_s": rng.choice([0.5, 100.0, 5_000.0])}, 10.0)
    out: list[float] = []
    now, weights = rng.choice([0.0, 1e5]), [1.0] * 4
    for step in range(replies):
        if step % 50 == 0:  # the server's mood
            weights = [rng.random() for _ in range(4)]
            weights[rng.randrange(4)] += 3.0
        is_held = len(out) >= control.in_flight_limit or control.next_send_at(now) > now
        if out and (is_held or rng.random() < 0.5):
            sent_at = out.pop(rng.randrange(len(out)) if rng.random() < 0.2 else 0)
            now += rng.expovariate(1 / rng.choice([0.001, 0.05]))
            answer(control, now, sent_at, rng.choices(range(4), weights)[0], rng)
        else:
            now = max(now, control.next_send_at(now)) + rng.choice([0.0] * 20 + [1.0, 50.0, 4_000.0])
            if len(out) < control.in_flight_limit:
                control.on_sent(now)
                out.append(now)
        control.check()
        assert control.next_send_at(now) <= now + LONGEST_S
        control.holding(now, is_full=False)
        control.explain(now)


@pytest.mark.parametrize("first", SEEDS[::100])
def test_invariants_hold(first: int) -> None:
    for seed in range(first, first + 100):
        live(seed)
