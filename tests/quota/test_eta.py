"""The time left: from the rate that binds now, across every window to come, and nothing where nobody can know.

`Stopped` stops a whole run in virtual time, notes the end that it told, goes on, and compares.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkwriter.quota.ceiling import Ceiling, reached
from bulkwriter.quota.view import STEADY_S, Eta, WorkAhead
from bulkwriter.stub.limits import LimitRule
from bulkwriter.writer import BulkWriter
from tests.sim.loop import run_virtual
from tests.support.quota_days import DAY_S, DOCUMENTED, Backfill
from tests.support.quota_hand import One, at_work
from tests.support.quota_stage import Machine

HOUR_S = 3_600.0


def eta_of(one: One, need: int, rate: float) -> float | None:
    return Eta(one.quotas).seconds(WorkAhead(writes=need, rate_per_s=rate), one.now)


def test_an_eta_waits_for_every_window_to_come(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        assert eta_of(one, 350, 0.0) is None  # nothing is known of the rate, and nothing holds
        assert await one.send(100) == 100
        await one.opens_at()
        eta = eta_of(one, 250, 0.0)  # 100 more after an hour, 100 after two, 50 after three
        assert eta == pytest.approx(3 * HOUR_S, rel=0.03)

    at_work(tmp_path, ["write:100/hour"], act)


def test_an_eta_counts_on_others_who_share_the_quotas(tmp_path: Path) -> None:
    """Of 60 a minute and 90 an hour each of two gets a half."""

    async def main() -> None:
        machine = Machine(tmp_path, ["write:60/min", "write:90/hour"], random.Random(1))
        one, other = machine.start(is_greedy=True), machine.start(is_greedy=True)
        await asyncio.sleep(40.0)
        eta, now = Eta(one.quotas), asyncio.get_running_loop().time()
        assert eta.seconds(WorkAhead(writes=10, rate_per_s=0.5, held="quota"), now) == pytest.approx(20.0, rel=0.05)
        assert eta.rate_per_s == pytest.approx(0.5, rel=0.01)
        across = Eta(one.quotas).seconds(WorkAhead(writes=55, rate_per_s=0.5, held="quota"), now)
        assert across == pytest.approx(HOUR_S, rel=0.05)
        for spender in (one, other):
            await spender.close()

    run_virtual(main, most_s=1e3)


def test_an_eta_without_quotas_is_need_by_rate() -> None:
    assert Eta(None).seconds(WorkAhead(writes=100, rate_per_s=4.0), 0.0) == 25.0
    assert Eta(None).seconds(WorkAhead(writes=0, rate_per_s=0.0), 0.0) == 0.0
    rows_that_exist = WorkAhead(writes=0, rate_per_s=0.0, not_read=19_000)
    assert Eta(None).seconds(rows_that_exist, 0.0) is None, "they need no write, but they are to be read"
    assert Eta(None).seconds(WorkAhead(writes=100, rate_per_s=0.0), 0.0) is None


def test_an_eta_counts_down_in_a_wait_and_forgets_no_rate(tmp_path: Path) -> None:
    async def act(one: One) -> None:
        eta = Eta(one.quotas)
        await one.send(90)
        first = eta.seconds(WorkAhead(writes=50, rate_per_s=2.0), one.now) or 0.0
        await one.send(20)
        await one.opens_at()
        await asyncio.sleep(1_000)
        later = eta.seconds(WorkAhead(writes=40, rate_per_s=0.0), one.now) or 0.0
        assert later == pytest.approx(first - 1_000, abs=150)

    at_work(tmp_path, ["write:100/hour"], act)


def test_a_ceiling_that_holds_back_is_the_rate_whatever_was_measured() -> None:
    """3,000 of 6,000 exist and were passed over: nothing of that is speed."""
    eta = Eta(None, Ceiling(50.0))
    assert eta.seconds(WorkAhead(writes=2_800, rate_per_s=12.0, held="ceiling"), 4.0) == pytest.approx(2_800 / 49.25)
    assert reached(0.2) == pytest.approx(0.197, abs=0.001)
    assert reached(2.5) == pytest.approx(2 / 1.01)


def test_a_server_slower_than_the_ceiling_is_the_rate() -> None:
    eta = Eta(None, Ceiling(50.0))
    for at in range(int(STEADY_S) + 3):
        eta.seconds(WorkAhead(writes=600, rate_per_s=6.0, held="in flight"), float(at))
    assert eta.seconds(WorkAhead(writes=300, rate_per_s=6.0, held="in flight"), 30.0) == pytest.approx(50.0)


@pytest.mark.parametrize("held", ["gone", "pause", "lists", "stopping"])
def test_what_goes_on_slower_and_slower_while_nothing_is_sent_is_no_rate(held: str) -> None:
    eta = Eta(None)
    for at in range(int(STEADY_S) + 3):
        eta.note(50.0, "in flight", float(at))
    for at in range(30, 90):
        eta.note(max(1.0, 80.0 - at), held, float(at))
    assert eta.rate_per_s == 50.0


@pytest.mark.parametrize("held", ["gone", "lists", "token"])
def test_nothing_is_told_while_nobody_can_know(held: str) -> None:
    eta = Eta(None)
    assert eta.seconds(WorkAhead(writes=100, rate_per_s=4.0), 0.0) == 25.0
    assert eta.seconds(WorkAhead(writes=100, rate_per_s=4.0, held=held), 1.0) is None


def test_doubts_that_wait_55_s_more_mean_55_s_more_at_least() -> None:
    eta = Eta(None)
    assert eta.seconds(WorkAhead(writes=8, rate_per_s=4.0, doubts_s=55.0), 0.0) == 55.0
    assert eta.seconds(WorkAhead(writes=0, rate_per_s=4.0, held="doubts", doubts_s=55.0), 0.0) == 55.0
    assert eta.seconds(WorkAhead(writes=400, rate_per_s=4.0, doubts_s=55.0), 0.0) == 100.0
    a_look_is_made = WorkAhead(writes=0, rate_per_s=4.0, held="doubts", doubts_s=-0.1)
    assert eta.seconds(a_look_is_made, 60.0) is None
    assert eta.seconds(WorkAhead(writes=0, rate_per_s=4.0), 60.0) == 0.0


def test_doubts_that_may_be_sent_at_a_rate_that_nobody_knows_have_no_end_yet() -> None:
    killed = WorkAhead(writes=0, rate_per_s=0.0, held="doubts", doubts_s=0.3, doubts=260)
    assert Eta(None).seconds(killed, 0.0) is None
    assert Eta(None).seconds(killed._replace(doubts=0), 0.0) == 0.3, "these were sent: a look is all they need"
    assert Eta(None, Ceiling(10.0)).seconds(killed, 0.0) == pytest.approx(26.5, rel=0.01)


def test_a_pause_is_waited_for_and_its_silence_is_no_rate() -> None:
    eta = Eta(None)
    for at in range(int(STEADY_S) + 3):
        eta.seconds(WorkAhead(writes=400, rate_per_s=4.0, held="limit"), float(at))
    for now in (30.0, 60.0, 90.0):
        told = eta.seconds(WorkAhead(writes=400, rate_per_s=0.1, held="pause", pause_s=630.0 - now), now)
        assert told == pytest.approx(630.0 - now + 100.0)


# ---- a whole run


class Stopped(Backfill):
    """A backfill that is drained after `stop_at` seconds, and begun again at once."""

    def stop_and_go_on(self, stop_at: float) -> float:
        """By what part of the time that was left the end told at the stop was wrong."""
        self.stop_at, self.told_s, begun_at = stop_at, -1.0, self.now
        assert self._live(None, 100 * DAY_S)
        stopped_at, self.stop_at = self.now, 0.0
        assert stopped_at < begun_at + stop_at + 5.0
        assert self._live(None, 100 * DAY_S)
        true_s = self.now - stopped_at
        return abs(self.told_s - true_s) / true_s

    def run_killed(self, at: float) -> None:
        self.stop_at = 0.0
        assert self._live(at, DAY_S)
        assert self.outcome.at_stake[-1] > 0

    async def _write(self, writer: BulkWriter, rows: Sequence[tuple[int, int] | None]) -> None:
        if self.stop_at:
            asyncio.get_running_loop().call_later(self.stop_at, self._drain, writer)
        await super()._write(writer, list(rows))

    def _drain(self, writer: BulkWriter) -> None:
        writer.drain("a test")
        told_s = writer.snapshot().eta_s
        assert told_s is not None
        self.told_s = told_s


def stopped(folder: Path, pairs: int, rules: Sequence[LimitRule] = (), **chosen: object) -> Stopped:
    made = Stopped(pairs, rules, folder, quota=chosen.pop("quota", ("none",)))  # type: ignore[arg-type]
    made.settings = dataclasses.replace(made.settings, **chosen)  # type: ignore[arg-type]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [5.0, 41.0, 70.0])
def test_the_end_told_at_a_stop_under_a_ceiling(stop_at: float, tmp_path: Path) -> None:
    assert stopped(tmp_path, 2_000, rate=20.0).stop_and_go_on(stop_at) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(("stop_at", "pairs"), [(20.0, 175), (500.0, 175), (90_000.0, 325)])
def test_the_end_told_at_a_stop_under_the_documented_quotas(stop_at: float, pairs: int, tmp_path: Path) -> None:
    """With a sixteenth of the day's window, which is spent, and spent again before the last stop."""
    daily = LimitRule(kind="log", count=150, window_s=DAY_S)
    rules = [daily if rule.count == 2_500 else rule for rule in DOCUMENTED]
    assert stopped(tmp_path, pairs, rules, quota=("nexudus", "write:150/day")).stop_and_go_on(stop_at) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("stop_at", [20.0, 45.0])
def test_the_end_told_at_a_stop_where_rows_exist(every: int, stop_at: float, tmp_path: Path) -> None:
    """The first half of the rows, or every third one."""
    run = stopped(tmp_path, 3_000, rate=20.0, existing="check")
    rows = [row for row in run.rows[0] if row]
    for row in rows[: len(rows) // 2] if every == 1 else rows[::every]:
        run.server.add(row, 0.0, is_old=True)
    assert run.stop_and_go_on(stop_at) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop_at", "pairs"), [(62.0, 1_300), (64.0, 1_300), (100.0, 1_300), (62.0, 4_000), (100.0, 4_000)]
)
def test_the_end_told_at_a_stop_with_doubts(stop_at: float, pairs: int, tmp_path: Path) -> None:
    """A process was killed; its doubts wait for a minute, and anew when the next one is stopped."""
    run = stopped(tmp_path, pairs, rate=20.0)
    run.run_killed(60.0)
    assert run.stop_and_go_on(stop_at - 60.0) <= 0.03
