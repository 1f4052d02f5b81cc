"""What holds a run back: told right in each situation, by real runs against the stub, and by hand where that will do.

Each situation of the table must be the answer at several looks in a row, whatever the machine does meanwhile.  A
processor can be made neither busy nor idle at will, so its times are a port that each test sets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter import BulkWriter, Pair
from bulkwriter.core.doubts import Doubt
from bulkwriter.events import Event, HeldBack
from bulkwriter.model import Counts, Intent, Rows, Snapshot, began, moment
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.quota.view import UNKNOWN
from bulkwriter.quota.windows import READ, WRITE
from bulkwriter.run.bottleneck import Bottleneck, Held
from bulkwriter.run.cpu import cpu_times
from bulkwriter.run.engine import Engine
from bulkwriter.run.ports import Ports
from bulkwriter.run.summary import work_ahead
from bulkwriter.settings import Settings
from bulkwriter.wiring import Assembly
from tests.support.cli_process import stub
from tests.support.library import on_loop, settings_for

IN_TIME_S = 60.0
LOOKS = 4
BUCKET = {"kind": "bucket", "count": 60, "burst": 5, "retry_after": "none"}


async def trickle() -> AsyncIterator[Pair]:
    for member in range(1, 10_000):
        yield Pair(1, member)
        await asyncio.sleep(0.02)


async def plenty() -> AsyncIterator[Pair]:
    for member in range(1, 1_000_000):
        yield Pair(1, member)


SITUATIONS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "limit": ({"limits": [BUCKET]}, {"rate": 5_000.0}, "the pace since the server asked for less"),
    "ceiling": ({}, {"rate": 30.0}, "the ceiling, rate=30/s"),
    "quota": ({}, {"quota": ("write:1800/min",)}, "quota write:1800/min"),
    "crowd": (
        {"limits": [{**BUCKET, "kind": "concurrency", "count": 3}]},
        {},
        "how many requests at a time may be sent since the server",
    ),
    "in flight": ({"latency_s": 0.2}, {"in_flight": 4}, "latency × in-flight: 4 requests of about 0.2"),
    "pause": ({"limits": [{"kind": "window", "count": 50, "window_s": 60}]}, {}, "the server asked for a pause"),
    "gone": (
        {"faults": [{"kind": "rst_before", "skip": 20}]},
        {"late_apply_s": 60.0},
        "no good reply since 2",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SITUATIONS)
def test_what_holds_a_run_back_is_told(kind: str, tmp_path: Path) -> None:
    scenario, chosen, words = SITUATIONS[kind]
    how = {"in_flight": 16, "existing": "skip", "ledger": tmp_path / "ledger", **chosen}
    with stub(**{"latency_s": 0.05, **scenario}) as server:
        seen = on_loop(lambda: seen_while(writer_of(settings_for(server, tmp_path / "j", **how)), plenty(), kind))
    assert seen.held_by.startswith(words)


@pytest.mark.slow
def test_a_slow_source_is_told(tmp_path: Path) -> None:
    with stub() as server:
        writer = writer_of(settings_for(server, tmp_path / "j", existing="skip"))
        seen = on_loop(lambda: seen_while(writer, trickle(), "source"))
    assert seen.believes == "the server has shown no limit"


@pytest.mark.slow
def test_a_busy_processor_is_told(tmp_path: Path) -> None:
    with stub(latency_s=0.05) as server:
        settings = settings_for(server, tmp_path / "j", in_flight=4, existing="skip")
        seen = on_loop(lambda: seen_while(writer_of(settings, busy=1.0), plenty(), "cpu"))
    assert seen.held_by == "this machine's CPU: busy 100% of the time"


def writer_of(settings: Settings, *, busy: float = 0.0) -> BulkWriter:
    """One that has used this share of a processor's time since it began, says the port."""

    class Used(Assembly):
        def _make_ports(self) -> Ports:
            ports = super()._make_ports()
            ports.cpu_times = lambda: (busy * ports.clock(), 0.0)
            return ports

    return BulkWriter(settings, assembly=Used(settings, columns=None))


async def seen_while(writer: BulkWriter, source: AsyncIterator[Pair], kind: str) -> Snapshot:
    """The snapshot of a run that was held back by `kind` at some looks in a row."""
    async with writer:
        run = asyncio.create_task(writer.write_all(source))
        try:
            async with asyncio.timeout(IN_TIME_S):
                return await until_seen(writer.snapshot, kind)
        finally:
            writer.drain("seen")
            await asyncio.wait([run])
            run.exception()


async def until_seen(snapshot: Callable[[], Snapshot], kind: str) -> Snapshot:
    looks = 0
    while looks < LOOKS:
        await asyncio.sleep(0.2)
        looks = looks + 1 if (seen := snapshot()).held_kind == kind else 0
    return seen


# ---- by hand


class Parked(list[Doubt]):
    def next_due_at(self) -> float:
        return 5.0


def engine_of(*, cpu: Callable[[], tuple[float, float]], tell: Callable[[Event], None]) -> Engine:
    """As much of an engine as is asked: a run at speed whose four lanes are busy."""
    control = SimpleNamespace(
        paused_until=0.0, holding=lambda now, is_full: ("in flight", "latency × in-flight"), explain=lambda now: "so"
    )
    admission = SimpleNamespace(
        suspension=SimpleNamespace(error=None), breaker=SimpleNamespace(is_open=False), quotas=None, control=control,
        ceiling=None, fence=None, has_created=True, limit=lambda: 4,
    )  # fmt: skip
    meter = SimpleNamespace(per_s=lambda now: 0.0)
    stats = SimpleNamespace(latency=SimpleNamespace(quantile=lambda q: 0.004), writes=meter)
    made: Any = SimpleNamespace(
        run=SimpleNamespace(is_ending=False, is_stopping=False, tell=tell),
        resolution=SimpleNamespace(is_winding_up=lambda: False),
        admission=admission,
        token_refresh=SimpleNamespace(since=0.0),
        known=SimpleNamespace(is_listing=False, outwaits_s=lambda now: 0.0),
        looker=SimpleNamespace(failures=SimpleNamespace(since=None, reason="")),
        pairs=SimpleNamespace(
            is_full=False, ready=[1], in_flight=[1, 2, 3, 4], doubts=Parked(), released=[], refusals=[]
        ),
        sender=SimpleNamespace(stats=stats),
        ports=SimpleNamespace(cpu_times=cpu),
    )
    return cast(Engine, made)


@pytest.mark.parametrize(
    ("used", "waited", "words"),
    [
        (0.5, 0.25, "latency × in-flight: 4 requests of about 4 ms each, as --in-flight says"),
        (0.9, 0.05, "this machine's CPU: busy 95% of the time"),
        (0.3, 0.7, "this machine's CPU, which other programs use as well: busy 100% of the time"),
    ],
)
def test_the_processor_is_named_when_the_loop_needs_nearly_all_of_it(used: float, waited: float, words: str) -> None:
    now = [0.0]
    bottleneck = Bottleneck(engine_of(cpu=lambda: (used * now[0], waited * now[0]), tell=lambda event: None))
    for i in range(8):
        now[0] = i / 4
        bottleneck.look(now[0])
    assert bottleneck.now(now[0]).words == words


def test_a_moment_decides_nothing_and_an_event_comes_when_it_lasts() -> None:
    events: list[Event] = []
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=events.append)
    bottleneck = Bottleneck(engine)
    for i in range(60):
        engine.pairs.is_full = i == 10 or i >= 40  # a moment, and from 10 s on for good
        bottleneck.look(i / 4)
        if i < 44:
            assert bottleneck.now(i / 4).kind == "in flight"
    assert bottleneck.now(15.0).kind == "disk"
    assert [event.by for event in events if isinstance(event, HeldBack)] == ["in flight", "disk"]


def test_re_sends_that_the_budget_holds_are_named_before_doubts() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    doubts = Parked([a_doubt(1), a_doubt(2)])
    engine.pairs.doubts, engine.pairs.released = doubts, [1] * 412
    engine.resolution = SimpleNamespace(is_winding_up=lambda: True)
    assert Bottleneck(engine).now(2.0) == (
        "again", "412 pairs wait to be sent again: after losses at most 10/s and two a success", None
    )  # fmt: skip
    engine.pairs.released.clear()
    assert Bottleneck(engine).now(2.0) == ("doubts", "2 doubts wait to be looked up", 3.0)
    del doubts[1:]
    assert Bottleneck(engine).now(2.0).words == "1 doubt waits to be looked up"


@pytest.mark.parametrize(
    ("doubts", "refused", "held"),
    [
        (0, 1, ("refused", "1 refused pair is looked up: perhaps there already", 3.0)),
        (0, 3, ("refused", "3 refused pairs are looked up: perhaps there already", 3.0)),
        (1, 3, ("doubts", "1 doubt and 3 refused pairs wait to be looked up", 3.0)),
        (2, 0, ("doubts", "2 doubts wait to be looked up", 3.0)),
    ],
)
def test_refused_pairs_that_wait_for_their_look_are_called_no_doubts(
    doubts: int, refused: int, held: tuple[str, str, float]
) -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    parked = [a_doubt(seq, is_refused=seq >= doubts) for seq in range(doubts + refused)]
    engine.pairs.doubts, engine.pairs.refusals = Parked(parked), [1] * refused
    engine.resolution = SimpleNamespace(is_winding_up=lambda: True)
    assert Bottleneck(engine).now(2.0) == held


def test_lists_that_wait_for_a_quota_are_not_told_as_being_made() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    bottleneck = Bottleneck(engine)
    window = SimpleNamespace(text="any:1/100ms", window_s=0.1, count=1)
    blocked = SimpleNamespace(window=window, opens_at=9.0)
    classes = {
        WRITE: SimpleNamespace(blocked=None, hold_until=0.0, units=SimpleNamespace(left=0)),
        READ: SimpleNamespace(blocked=blocked, units=SimpleNamespace(left=0)),
    }
    engine.admission.quotas = SimpleNamespace(
        classes=classes, boot=lambda: 5.0, calls_waiting=1, is_guess=False,
        exchanges=SimpleNamespace(unanswered_s=0.0),
    )  # fmt: skip
    engine.known = SimpleNamespace(is_listing=True, calls=1, trouble="", outwaits_s=lambda now: 0.0)
    engine.pairs.ready, engine.pairs.in_flight = [], []
    assert bottleneck.now(5.0) == ("lists", "list calls wait for the quota any:1/100ms", None)
    engine.admission.quotas.calls_waiting = 0
    assert bottleneck.now(5.0).words == "listing what exists: 1 calls so far"


def test_a_quota_ledger_that_does_not_answer_is_told_once_nothing_is_left_of_its_lease() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    bottleneck = Bottleneck(engine)
    units = SimpleNamespace(left=1, until=6.0, opens_at=lambda now: now, next_at=9.0)
    one = SimpleNamespace(blocked=None, hold_until=0.0, units=units)
    exchanges = SimpleNamespace(unanswered_s=30.0, wall=lambda: 1e9)
    engine.admission.quotas = SimpleNamespace(
        classes={WRITE: one, READ: one}, boot=lambda: 5.0, calls_waiting=0, is_guess=False, exchanges=exchanges,
        windows=(),
    )  # fmt: skip
    assert bottleneck.now(5.0).kind != "ledger"
    units.until = 4.0
    words = f"the quota ledger has not answered since {began(1e9 - 30.0)}, so nothing is sent until it does"
    assert bottleneck.now(5.0) == ("ledger", words, None)


def test_doubts_whose_looks_fail_wait_for_a_time_that_nobody_knows() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    engine.pairs.doubts = Parked([a_doubt(1), a_doubt(2)])
    engine.resolution = SimpleNamespace(is_winding_up=lambda: True)
    assert Bottleneck(engine).now(6.0) == (
        "doubts",
        "2 doubts wait to be looked up: a look is under way",
        None,
    )  # due at 5
    engine.looker = SimpleNamespace(failures=SimpleNamespace(since=6.0, reason="the list " + "of all " * 20))
    assert Bottleneck(engine).now(7.0).words.endswith("of all …"), "a quoted text that is cut says so"
    engine.looker.failures.reason = "the list ends at record 300"
    held = Bottleneck(engine).now(7.0)
    assert held.kind in UNKNOWN
    assert held == ("lists", "2 doubts wait to be looked up, the last look in vain: the list ends at record 300", None)


def test_pairs_that_looks_did_not_see_are_writes_to_come_and_not_the_end() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    engine.looker = SimpleNamespace(doubts=Parked([a_doubt(1), a_doubt(2, is_refused=True)]))
    engine.looker.doubts.settled_at = lambda: 7.0
    engine.bottleneck = SimpleNamespace(now=lambda now: Held("again", ""))
    engine.settings, engine.unmet = Settings(), lambda counts: 0
    engine.sender.stats.writes = SimpleNamespace(per_s=lambda now: 4.0)
    engine.pairs.in_flight = [1, 2]
    ahead = work_ahead(engine, Counts(created=5, in_doubt=9), Rows(14, True, 14), 6.0)
    assert (ahead.writes, ahead.doubts_s, ahead.held) == (9 - 1 - 2, 1.0, "again")


def a_doubt(seq: int, *, is_refused: bool = False) -> Doubt:
    return Doubt(Intent(seq, (1, seq + 1), 1, None, None), 0.0, is_refused=is_refused)


def test_a_list_that_cannot_be_had_is_told_with_its_trouble() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    engine.pairs.ready, engine.pairs.in_flight = [], []
    engine.known = SimpleNamespace(is_listing=True, outwaits_s=lambda now: 0.0, calls=1_015, trouble="")
    assert Bottleneck(engine).now(0.0).words == "listing what exists: 1,015 calls so far"
    engine.known.trouble = "list call: connection refused"
    assert Bottleneck(engine).now(0.0).words == (
        "listing what exists: 1,015 calls so far, the last in vain: list call: connection refused"
    )


def test_what_was_sent_before_this_start_is_waited_for_with_its_end() -> None:
    engine: Any = engine_of(cpu=lambda: (0.0, 0.0), tell=lambda event: None)
    engine.pairs.ready, engine.pairs.in_flight = [], []
    engine.known = SimpleNamespace(is_listing=False, outwaits_s=lambda now: 65.0 - now)
    held = Bottleneck(engine).now(5.0)
    assert (held.kind, held.more_s) == ("loss", 60.0)
    assert held.words == "lists may not show yet what was sent before this start"


def test_a_ceiling_is_waited_for_only_by_who_asked() -> None:
    ceiling = Ceiling(5.0)
    assert not ceiling.is_waited_for(0.0)
    ceiling.opens_at(0.0)
    assert ceiling.is_waited_for(0.0)


def test_processor_times_never_fall_and_need_no_linux(tmp_path: Path) -> None:
    used, waited = cpu_times()
    sum(range(200_000))
    assert cpu_times() >= (used, waited)
    assert cpu_times(tmp_path / "none")[1] == 0.0


def test_a_deadline_is_rounded_down_and_a_wait_up() -> None:
    """Whoever comes at either is neither too late nor too early: 00:00:48 UTC."""
    at = 1_796_000_000.0 - 3_200 + 48
    assert began(at)[-9:-4] != moment(at)[-9:-4]
    assert began(at) == moment(at - 48)
