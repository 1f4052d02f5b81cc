"""Servers that state a wait of one second, whatever they need: the API's documented throttle (409, `Retry-After: 1`).

    server    a fixed window, a log, a bucket that holds a fifth of a second's worth; 10, 100 and 1,000 a second
    latency   6 ms and 100 ms
    drop      200/s, from 7 s on 50/s, from 14 s on 200/s again
    stalls    the client's event loop stands still for 20 to 100 ms, every second or so
    counter   a sliding counter of 100 or 1,000 that counts refused requests as well, as HAProxy's do
    plain     the same throttle as a 503 that states no wait, and 503s that no pace avoids: for `busy`

They are scored from the first write that was taken, over 20, 60 and 300 s: `in_20_s`, `in_60_s`, `in_300_s`.
The controller was made on `STATED`; the cells of `STATED_HELD_OUT` only judge it.  `LONG` are three of them over an
hour.  What every client can reach over 20 s is bounded, since a pause costs a second: one pause 0.95, two 0.92.
"""

# ruff: noqa: E501  # one line a cell reads as a table

from __future__ import annotations

from dataclasses import replace

from . import servers
from .cells import Cell, Limits, bucket, counter, log, stepping, window
from .servers import Timing

CLOSE, AWAY = Timing(latency_s=0.006), Timing()
STALLS = 0.02, 0.1, 1.0
"""Shortest and longest stall, and the mean time between two."""
DROP = ((0.0, 200.0), (7.0, 50.0), (14.0, 200.0))
TIMINGS = (("6 ms", CLOSE), ("100 ms", AWAY))


def kinds(per_s: int) -> tuple[tuple[str, Limits], ...]:
    return (
        (f"window {per_s:,} in 1 s", window(per_s, 1)),
        (f"log {per_s:,} in 1 s", log(per_s, 1)),
        (f"bucket {per_s:,}/s, holds {per_s // 5:,}", bucket(per_s, per_s // 5)),
    )


def stated(name: str, limits: Limits, per_s: float, timing: Timing) -> Cell:
    return Cell(name=f"{name}; 1 s stated", factor="stated", limits=limits, limit_per_s=per_s, timing=timing,
                form=servers.one_second, ends_at=305, steady_s=150)  # fmt: skip


def dropping(kind: str, limits: Limits, far: str, timing: Timing) -> Cell:
    return replace(
        stated(f"{kind} 200, 50, 200/s, {far}", limits, 200, timing), factor="change", changes=DROP, drops_at=7, raises_at=14, raised_to=200,
    )  # fmt: skip


# fmt: off
STEADY_LIMITS = tuple(stated(f"{name}, {far}", limits, per_s, timing)
                      for per_s in (10, 100, 1_000) for name, limits in kinds(per_s) for far, timing in TIMINGS)
DROPS = tuple(dropping(kind, limits, far, timing)
              for kind, limits in (("log", servers.stepping_log(*DROP)), ("bucket", stepping(*DROP, share=0.2)))
              for far, timing in TIMINGS)
STALLING = tuple(replace(stated(f"{name}, {far}, stalls", limits, 100, timing), stalls=STALLS)
                 for name, limits in kinds(100) for far, timing in TIMINGS)
PLAIN = (
    Cell(name="bucket 100/s, plain 503", factor="plain", limits=bucket(100, 20), is_plain=True, ends_at=120, steady_s=60),
    Cell(name="window 100 in 1 s, plain 503", factor="plain", limits=window(100, 1), is_plain=True, ends_at=120, steady_s=60),
    Cell(name="window 1,000 in 10 s, plain 503", factor="plain", limits=window(1_000, 10), is_plain=True, ends_at=200, steady_s=100),
    Cell(name="3 in 10 broken, queue before 20", factor="plain", queue=20, broken=0.3, limit_per_s=20 / AWAY.mean_service_s, is_plain=True),
)
COUNTERS = tuple(replace(stated(f"counter {per_s:,} in 1 s, refused count, {far}", counter(per_s, 1), per_s, timing), punishes=True)
                 for per_s in (100, 1_000) for far, timing in TIMINGS)
# fmt: on
ALL = (*STEADY_LIMITS, *DROPS, *STALLING, *PLAIN, *COUNTERS)
STATED = tuple(cell for n, cell in enumerate(ALL) if n % 4 in (0, 3))
"""Two of four in turn, so that each kind, each distance and each rate is on both sides."""
STATED_HELD_OUT = tuple(cell for cell in ALL if cell not in STATED)
LONG = tuple(replace(stated(f"{name}, an hour", limits, 100, AWAY), ends_at=3_605.0) for name, limits in kinds(100))
