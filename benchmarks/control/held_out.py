"""Servers that the controller was not made on: other kinds, other numbers, odd mixes; judged by the same bars.

They are for finding where the controller rests on chance.  `python -m benchmarks control` marks them with *.
"""

# ruff: noqa: E501  # one line a cell reads as a table

from __future__ import annotations

from . import servers
from .cells import BASE, USUAL, Cell, both, bucket, counter, log, shaper, stepping, window
from .servers import Timing

NEARER, FARTHER = Timing(latency_s=0.03), Timing(latency_s=0.4)
WILD = Timing(sigma=0.6)
UNEVEN = Timing(jitter_s=0.03)
DOUBLES = ((0.0, 60.0), (40.0, 120.0))
FALLS = ((0.0, 300.0), (40.0, 30.0))
OFTEN = ((0.0, 100.0), (40.0, 70.0), (80.0, 100.0), (120.0, 60.0))

# fmt: off
HELD_OUT = (
    Cell(name="bucket 37/s, holds 3", factor="server", limits=bucket(37, 3), limit_per_s=37, ends_at=90),
    Cell(name="bucket 420/s, holds 30", factor="server", limits=bucket(420, 30), limit_per_s=420),
    Cell(name="bucket 250/s, holds 1", factor="server", limits=bucket(250, 1), limit_per_s=250),
    Cell(name="bucket 20/s, holds 300", factor="server", limits=bucket(20, 300), limit_per_s=20, ends_at=300, steady_s=150),
    Cell(name="nginx: 100/s, delays 20", factor="server", limits=shaper(100, 20)),
    Cell(name="nginx: 50/s, delays 200", factor="server", limits=shaper(50, 200), limit_per_s=50, ends_at=120, steady_s=60),
    Cell(name="window 40 in 5 s", factor="server", limits=window(40, 5), limit_per_s=8, ends_at=300, steady_s=150),
    Cell(name="window 500 in 5 s", factor="server", limits=window(500, 5), ends_at=100, steady_s=50),
    Cell(name="window 3,000 in 30 s", factor="server", limits=window(3_000, 30), ends_at=300, steady_s=150),
    Cell(name="window 60 in 60 s", factor="server", limits=window(60, 60), limit_per_s=1, ends_at=2_400, steady_s=1_200),
    Cell(name="window 10,000 in 10 s", factor="server", limits=window(10_000, 10), limit_per_s=1_000, ends_at=80, steady_s=40),
    Cell(name="window 100 in 10 s", factor="server", limits=window(100, 10), limit_per_s=10, ends_at=400, steady_s=200),
    Cell(name="log 300 in 5 s", factor="server", limits=log(300, 5), limit_per_s=60, ends_at=100, steady_s=50),
    Cell(name="log 120 in 60 s", factor="server", limits=log(120, 60), limit_per_s=2, ends_at=1_200, steady_s=600),
    Cell(name="log 50 in 1 s", factor="server", limits=log(50, 1), limit_per_s=50),
    Cell(name="counter 100 in 1 s", factor="server", limits=counter(100, 1)),
    Cell(name="counter 6,000 in 60 s", factor="server", limits=counter(6_000, 60), ends_at=600, steady_s=300),
    Cell(name="counter 600 in 30 s", factor="server", limits=counter(600, 30), limit_per_s=20, ends_at=400, steady_s=200),
    Cell(name="at most 2 at a time", factor="server", cap=2, limit_per_s=2 / USUAL.mean_s, ends_at=120, steady_s=60),
    Cell(name="at most 3 at a time", factor="server", cap=3, limit_per_s=3 / USUAL.mean_s, ends_at=90),
    Cell(name="at most 50 at a time", factor="server", cap=50, limit_per_s=50 / USUAL.mean_s),
    Cell(name="at most 10, 400 ms", factor="server", cap=10, limit_per_s=10 / FARTHER.mean_s, timing=FARTHER, ends_at=120, steady_s=60),
    Cell(name="queue before 6, 30 ms", factor="server", queue=6, limit_per_s=6 / NEARER.mean_service_s, timing=NEARER),
    Cell(name="queue before 50, 400 ms", factor="server", queue=50, limit_per_s=50 / FARTHER.mean_service_s, timing=FARTHER, ends_at=120, steady_s=60),
    Cell(name="at most 20, and 100/s", factor="server", cap=20, limits=BASE),
    Cell(name="at most 8, and 100/s", factor="server", cap=8, limits=BASE, limit_per_s=8 / USUAL.mean_s),
    Cell(name="5/s and 200 in 60 s", factor="server", limits=both(bucket(5, 5), log(200, 60)), limit_per_s=200 / 60, ends_at=1_200, steady_s=600),
    Cell(name="20/s and 600 in 60 s log", factor="server", limits=both(bucket(20, 20), log(600, 60)), limit_per_s=10, ends_at=900, steady_s=450),
    Cell(name="window, refused count too", factor="server", limits=window(1_000, 10), punishes=True, ends_at=150, steady_s=70),
    Cell(name="bucket 100/s, 30 ms", factor="latency", limits=BASE, timing=NEARER),
    Cell(name="bucket 100/s, 400 ms", factor="latency", limits=BASE, timing=FARTHER, ends_at=90),
    Cell(name="bucket 420/s, 400 ms", factor="latency", limits=bucket(420, 42), limit_per_s=420, timing=FARTHER, ends_at=90),
    Cell(name="latency varies wildly", factor="latency", limits=BASE, timing=WILD),
    Cell(name="uneven way, 30 ms", factor="latency", limits=BASE, timing=UNEVEN),
    Cell(name="uneven way, holds 1", factor="latency", limits=bucket(100, 1), timing=UNEVEN),
    Cell(name="window 60 in 60 s, seconds", factor="form", limits=window(60, 60), limit_per_s=1, form=servers.whole_seconds, ends_at=2_400, steady_s=1_200),
    Cell(name="log 600 in 60 s, seconds", factor="form", limits=log(600, 60), limit_per_s=10, form=servers.whole_seconds, ends_at=1_200, steady_s=600),
    Cell(name="10/s, whole seconds", factor="form", limits=bucket(10, 10), limit_per_s=10, form=servers.whole_seconds, ends_at=600, steady_s=300),
    Cell(name="counter, whole seconds", factor="form", limits=counter(1_000, 10), form=servers.whole_seconds, ends_at=400, steady_s=200),
    Cell(name="limit doubles", factor="change", limits=stepping(*DOUBLES), changes=DOUBLES, ends_at=80, steady_s=40, raises_at=40, raised_to=120),
    Cell(name="limit falls tenfold", factor="change", limits=stepping(*FALLS), changes=FALLS, ends_at=100, steady_s=50, drops_at=40),
    Cell(name="limit changes often", factor="change", limits=stepping(*OFTEN), changes=OFTEN, ends_at=160, steady_s=80),
    Cell(name="3 equal clients, window", factor="clients", limits=window(1_000, 10), clients=3, ends_at=200, steady_s=100),
    Cell(name="4 equal clients, 20 at a time", factor="clients", cap=20, limit_per_s=20 / USUAL.mean_s, clients=4, ends_at=200, steady_s=100),
    Cell(name="3 equal clients, queue", factor="clients", queue=20, limit_per_s=20 / USUAL.mean_service_s, clients=3, ends_at=120, steady_s=60),
)
# fmt: on
