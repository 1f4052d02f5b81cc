"""What becomes of pairs that another writer has claimed (`peers`): nobody sends them twice.

    created by the other           `existing`, with the record id that the other's journal has
    the other may send it          `pending` again.  A source ends (exit 5).  A single pair waits and is tried again;
                                   its callers get `TryLater` after `patience_s`

Most claims are settled within a second.  So a source first waits, for `SOURCE_S` at most, until no writer at work has
claimed any of its next pairs.

Two writers may see each other's intents at the same moment.  Then both give way, and wait for a time of their own, by
chance.  So one of them is first, and the other finds its intent or its record.

A doubt of an earlier start is asked about before it is sent again: another writer may have taken its pair while this
one was not at work.  From then on its row shows others that it is taken.

Invariant: the intents of these pairs are durable when they are asked about, and `pending` before they are tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ..core.pairs import EXISTING, PENDING, Pairs
from ..errors import AnotherRun, TryLater
from ..model import SINGLE_SEQ, Intent
from ..rows import STATE_ALONE, SettleRow
from ..settings import Settings
from .existing_records import KnownRecords
from .peers import Met
from .ports import Ports
from .run_loop import RunLoop
from .single import Single

AGAIN_S, MOST_AGAIN_S = 0.1, 5.0
"""Shortest and longest wait before a pair is tried again that another writer had.  Most are created within a second."""
SOURCE_S: Final = 30.0
"""A source waits no longer: another writer may keep its claims for days, until a quota lets them go."""
NOBODY: Final[Mapping[tuple[int, int], Met]] = MappingProxyType({})


class Contest(NamedTuple):
    """Since when a single pair waits for another writer, and what is known of that."""

    since: float
    met: Met


class Contention:
    """The pairs of one writer that others may send."""

    def __init__(self, ports: Ports, known: KnownRecords, run: RunLoop, pairs: Pairs, settings: Settings) -> None:
        self._peers, self._known, self._run, self._pairs = ports.peers, known, run, pairs
        self._patience_s, self._rng = settings.longest_patience_s, ports.rng
        self._contests: dict[tuple[int, int], Contest] = {}
        self._waiting: list[Single] = []
        self._adopted: set[int] = set()  # seqs of doubts that were not asked about yet
        self._is_asking = False

    def __len__(self) -> int:
        """How many single pairs wait for another writer."""
        return len(self._waiting)

    async def met(self, intents: Sequence[Intent | Single]) -> Mapping[tuple[int, int], Met]:
        """Of these pairs, whose intents are durable, those that another writer has claimed."""
        if not self._peers or not intents or not self._peers.are_there():
            return NOBODY
        return await self._peers.met([intent.pair for intent in intents], above=self._known.first_listed)

    async def outwait(self, intents: Sequence[Intent]) -> None:
        """Wait until no writer at work has claimed any of these pairs of a source, which have no intents yet."""
        if self._peers and self._peers.is_forced:
            return
        clocks, pause_s = self._run.clocks, AGAIN_S
        until = clocks.clock() + SOURCE_S
        while any(met.is_at_work and met.record_id is None for met in (await self.met(intents)).values()):
            if clocks.clock() >= until:
                return
            await clocks.sleep(self._rng.uniform(0.5, 1.0) * pause_s)
            pause_s = min(2 * pause_s, MOST_AGAIN_S)

    def of_source(self, intents: Sequence[Intent], met: Mapping[tuple[int, int], Met]) -> None:
        """Give way with pairs that the source has just made ready.  It ends if another writer may send one."""
        rows, source = yielded_rows(intents, met), self._run.source
        if self._peers and self._peers.is_forced:
            rows = {seq: row for seq, row in rows.items() if row[1] == EXISTING}
        left = [intent for intent in self._pairs.yielded(rows) if rows[intent.seq][1] == PENDING]
        if left and source:
            source.took_back(left)
            self._run.end_source(another_run(met[left[0].pair], left[0].pair))

    # doubts of an earlier start

    def adopt(self, doubts: Iterable[Intent]) -> None:
        """These pairs were taken by an earlier start."""
        self._adopted.update(intent.seq for intent in doubts)

    def lets_go(self) -> bool:
        """Whether the pairs that looks have released may be sent again.  If that is not known yet, it is asked."""
        if not self._adopted or not self._peers or not self._peers.are_there():
            return True
        asked = [intent for intent in self._pairs.released if intent.seq in self._adopted]
        if asked and not self._is_asking:
            self._is_asking = True
            self._run.spawn(self._ask, asked)
        return not asked

    async def _ask(self, intents: list[Intent]) -> None:
        try:
            met = await self.met(intents)
        finally:
            self._is_asking = False
        self._adopted.difference_update(intent.seq for intent in intents)
        self.of_source([intent for intent in intents if intent.seq < SINGLE_SEQ], met)
        self.of_singles([intent for intent in intents if intent.seq >= SINGLE_SEQ], met)
        self._run.soon()

    # single pairs

    def of_singles(self, intents: Sequence[Intent], met: Mapping[tuple[int, int], Met]) -> None:
        """Give way with single pairs that were just made ready."""
        if not met and not self._contests:
            return
        self._pairs.yielded(yielded_rows(intents, met))
        for intent in intents:
            found, contest = met.get(intent.pair), self._contests.pop(intent.pair, None)
            if found and found.record_id is None:
                self._contests[intent.pair] = Contest(contest.since if contest else self._run.clocks.clock(), found)

    def takes(self, single: Single) -> bool:
        """Whether a single, whose row is `pending` again, waits here."""
        if single.pair not in self._contests:
            return False
        self._waiting.append(single)
        return True

    def why(self, pair: tuple[int, int]) -> str:
        """Why this pair waits, if another writer may send it; else empty."""
        return contest.met.who if (contest := self._contests.get(pair)) else ""

    async def over(self) -> list[Single]:
        """Wait until some single pairs may be tried again, and return them.  Those that waited too long are refused."""
        await self._run.until(lambda: bool(self._waiting))
        clocks = self._run.clocks
        waited_s = clocks.clock() - min(self._contests[single.pair].since for single in self._waiting)
        await clocks.sleep(self._rng.uniform(0.5, 1.0) * min(max(waited_s / 2, AGAIN_S), MOST_AGAIN_S))
        again: list[Single] = []
        for single in self.take_all():
            since, met = self._contests[single.pair]
            if clocks.clock() - since < self._patience_s:
                again.append(single)
            else:
                del self._contests[single.pair]
                single.refuse(TryLater(met.who, hint=met.hint, code="contested"))
        return again

    def take_all(self) -> list[Single]:
        """The single pairs that wait here; they wait no more."""
        taken, self._waiting = self._waiting, []
        return taken


def yielded_rows(intents: Iterable[Intent], met: Mapping[tuple[int, int], Met]) -> dict[int, SettleRow]:
    """The rows, by seq, of the intents that others have claimed."""
    rows: dict[int, SettleRow] = {}
    for intent in intents:
        if found := met.get(intent.pair):
            if found.record_id is None:
                rows[intent.seq] = (intent.seq, PENDING, STATE_ALONE, None, None, None)
            else:
                rows[intent.seq] = (intent.seq, EXISTING, intent.attempts, found.record_id, None, None)
    return rows


def another_run(met: Met, pair: tuple[int, int]) -> AnotherRun:
    """The error that ends a source."""
    how = "at work" if met.is_at_work else "that was at work a moment ago"
    pairs = f"pairs of this source, {pair[0]},{pair[1]} among them"
    return AnotherRun(
        f"a writer {how} has {pairs}: the one with journal {met.journal}",
        hint="give the same command again, which looks up what is there by then",
    )
