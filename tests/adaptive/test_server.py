"""The shared backoff against a small discrete-event server: it never overruns it, and always comes to the end."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.adaptive import SharedBackoff


@dataclass
class Server:
    """A model server: `burst` requests, `rate_per_s` more, at most `at_once` inside; it may state too little."""

    rng: random.Random
    burst: int
    rate_per_s: float
    at_once: int
    stated_s: float | None
    error_share: float
    left: float = 0.0
    at: float = 0.0
    inside: int = 0
    replies: list[tuple[float, int, float, str]] = field(default_factory=list)

    def take(self, now: float, number: int) -> None:
        """A request arrives; its fate is drawn, and its reply is due later."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate_per_s)
        self.at = now
        if self.rng.random() < self.error_share:
            reply = (now + self.rng.choice([0.01, 2.0]), "error")
        elif self.left < 1 or self.inside >= self.at_once:
            reply = (now + self.rng.uniform(0.0, 0.05), "throttle")
        else:
            self.left -= 1
            reply = (now + self.rng.uniform(0.01, 0.3), "good")
        self.inside += 1
        heapq.heappush(self.replies, (reply[0], number, now, reply[1]))


@given(
    st.integers(0, 2**32),
    st.integers(1, 50),
    st.sampled_from([1.0, 20.0, 500.0]),
    st.integers(1, 40),
    st.sampled_from([None, 0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.3]),
    st.integers(1, 64),
)
@settings(max_examples=200, deadline=None)
def test_it_never_overruns_a_server_and_always_comes_to_the_end(
    seed: int, burst: int, rate_per_s: float, at_once: int, stated_s: float | None, error_share: float, cap: int
) -> None:
    server = Server(random.Random(seed), burst, rate_per_s, at_once, stated_s, error_share)
    c = SharedBackoff(cap, pause_cap_s=5.0, rng=random.Random(seed + 1))
    now, number, todo, in_flight = 0.0, 0, 150, 0
    may_send_at, last_cut_at, limit_was, paused_until_was = 0.0, -1.0, c.limit, 0.0
    while todo:
        assert now < 10_000, "it stalls"
        while now >= c.paused_until and in_flight < c.in_flight_limit:
            assert now >= may_send_at, "sent inside a stated Retry-After"
            number += 1
            c.on_sent(now)
            server.take(now, number)
            in_flight += 1
        # Either a reply comes or the pause ends, whichever is first.
        if server.replies and (now >= c.paused_until or server.replies[0][0] <= c.paused_until):
            now, _, sent_at, fate = heapq.heappop(server.replies)
            in_flight -= 1
            server.inside -= 1
            if fate == "good":
                c.on_good(now, sent_at, now - sent_at)
                todo -= 1
            elif fate == "error":
                c.note_error(now, sent_at)
            else:
                end = c.on_throttle(now, sent_at, stated_s)
                assert end == c.paused_until
                if stated_s is not None:
                    may_send_at = max(may_send_at, now + stated_s)
        else:
            assert c.paused_until > now, "it stalls"
            now = c.paused_until
        assert c.paused_until >= paused_until_was
        paused_until_was = c.paused_until
        if c.limit < limit_was:
            assert sent_at > last_cut_at, "cut twice for one event"
            last_cut_at = now
        limit_was = c.limit
        assert in_flight <= cap
        c.check()
