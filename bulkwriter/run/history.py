"""Writes the history of a start into its journal: how the run stands, about once a minute, and the steps of records.

    tick    add up for how long each cause has held the run back; write steps that came, and a row if one is due
    row     the first at the start, the last at its end, which tells why; between them by `pause_s`:
            a row a minute; sooner in a short run with many pairs; one an hour while nothing changes

A row is part of the transaction of whatever else is committed then.  Its counts are read inside it, so a kill leaves
no row that tells more than the journal holds.  Totals go on from the last row of the start before, so what a killed
start did after its last row is missing in `attempts` and `throttled`; the rows by state are always true.

Cost: a tick a second takes some 20 µs of the loop, a row 100 µs of the journal's thread; no pair is touched.
Invariants: nothing that is sent depends on this.  No text of the server or of the source is written.  A writer without
a journal keeps no history.
Not here: the tables (`store.history`), which steps there are (`core.record_log`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from ..core.record_log import RecordLog
from ..errors import JournalError, is_of_journal
from ..model import Ended
from ..quota.view import left_of
from ..store.history import Moment, left_out_of
from .bottleneck import quiet_s
from .measured import allowed_per_s

if TYPE_CHECKING:
    from ..store.journal import Journal
    from .engine import Engine

TICK_S: Final = 1.0
MINUTE_S: Final = 60.0
HOUR_S: Final = 3_600.0
PARTS: Final = 60
"""A short run has about so many rows: there is one whenever a sixtieth of its time has passed."""
ROWS_EACH: Final = 100
"""Sooner than a minute there is a row only after so many settled pairs: at 200 bytes it is two bytes a pair."""


class History:
    """The history of one start.  `keep` writes it until the run ends, then `end` writes the last row."""

    def __init__(self, engine: Engine, log: RecordLog) -> None:
        self._engine = engine
        self._log = log
        self._began_at = self._ticked_at = self._row_at = engine.ports.clock()
        self._start = 1
        self._attempts = self._throttled = self._left_out = 0  # of earlier starts
        self._steps: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()
        self._held_s: dict[str, float] = {}
        self._told: tuple[int, ...] = ()

    async def keep(self) -> None:
        """Write the history for ever."""
        if self._engine.settings.journal is None:
            return
        await self._begin()
        while True:
            await self._engine.ports.clocks.idle(max(TICK_S, quiet_s(self._engine)))
            now = self._engine.ports.clock()
            self._tick(now)
            await self._write(now, has_row=self._is_due(now))

    async def end(self, ended: Ended) -> None:
        """Write the last row of this start."""
        if self._engine.settings.journal is None or is_of_journal(self._engine.run.error):
            return
        now = self._engine.ports.clock()
        self._tick(now)
        with contextlib.suppress(JournalError):  # nothing depends on it
            await self._write(now, has_row=True, ended=ended.code)

    async def _begin(self) -> None:
        last, self._left_out = await self._engine.ports.store.run(read_last)
        if last:
            self._start, self._attempts, self._throttled = last.start + 1, last.attempts, last.throttled
            self._steps.update(last.steps)
            self._causes.update(last.causes)
            self._held_s.update(last.held_s)
        await self._write(self._engine.ports.clock(), has_row=True)

    def _tick(self, now: float) -> None:
        kind = self._engine.bottleneck.now(now).kind
        self._held_s[kind] = self._held_s.get(kind, 0.0) + now - self._ticked_at
        self._ticked_at = now

    def _is_due(self, now: float) -> bool:
        since_s, told = now - self._row_at, self._figures()
        if told == self._told:
            return since_s >= HOUR_S
        if since_s >= MINUTE_S:
            return True
        return since_s >= (now - self._began_at) / PARTS and told[0] >= self._told[0] + ROWS_EACH

    def _figures(self) -> tuple[int, ...]:
        """What a row tells, as far as a change of it makes another row worth writing; settled pairs first."""
        engine = self._engine
        return engine.committer.settled, engine.ports.store.rows, engine.sender.stats.attempts, len(engine.pairs.doubts)

    async def _write(self, now: float, *, has_row: bool, ended: str | None = None) -> None:
        log, engine = self._log, self._engine
        if not (has_row or log.has_rows or log.open):
            return
        steps = log.take(now, engine.ports.wall())
        moment = self._moment(now, ended) if has_row else None
        if moment:
            self._row_at, self._told = now, self._figures()
        left_out, seqs = self._left_out + log.left_out, [*log.open]
        states = await engine.ports.store.write(lambda journal: journal.keep_history(moment, steps, left_out, seqs))
        log.settled(states, now)
        if ended and log.has_rows:  # what was settled just now
            await self._write(now, has_row=False)

    def _moment(self, now: float, ended: str | None) -> Moment:
        engine, log = self._engine, self._log
        admission, stats = engine.admission, engine.sender.stats
        quotas = admission.quotas
        left = left_of(quotas) if quotas else {}
        counts = {window.text: window.count for window in quotas.windows} if quotas else {}
        return Moment(
            start=self._start,
            at=engine.ports.wall(),
            server_at=quotas.exchanges.server_wall() if quotas else None,
            attempts=self._attempts + stats.attempts,
            throttled=self._throttled + stats.throttled,
            in_flight=len(engine.pairs.in_flight),
            in_flight_limit=admission.limit(),
            allowed_per_s=allowed_per_s(engine),
            held=engine.bottleneck.now(now).kind,
            held_s=dict(self._held_s),
            spent={text: counts[text] - more for text, more in left.items()},
            steps=self._steps + log.totals,
            causes=self._causes + Counter(log.causes),
            ended=ended,
        )


def read_last(journal: Journal) -> tuple[Moment | None, int]:
    """The last moment of the start before, and how many steps were not kept so far."""
    rows = journal.history(last=1)
    return rows[0].moment if rows else None, left_out_of(journal.meta())
