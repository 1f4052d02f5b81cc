"""The steps of the records whose way was no plain success, until the journal has them: for `explain` and the report.

A *step* is what came of one attempt, or what a look said, with its time.  A pair that is created at its first attempt
has none: its row in the journal tells all of it.  Most pairs are like that, and none of them comes here.

    attempt        a reply that proves no creation: throttled, not sent, lost, refused
    recalled       the connection that had answered for the pair was out of step
    adopted        an earlier start had sent the pair, or was about to
    found, absent  a look settled it
    settled        its row in the journal is final

Invariants: a step holds numbers and our own words alone: a status, the name of a fault, the name of a property of the
API.  It holds nothing of the server's text and nothing of the source.  `MOST_OPEN` and `Allowance` bound how many are
kept; those that are not are counted (`left_out`), and the totals count all of them.
Pure: `now` is the engine's clock.  Not here: when steps are written (`run.history`), their table (`store.history`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ..metrics import add_bounded
from ..model import Fault, Intent, Reply, Verdict, VerdictKind
from ..rows import ABSENT_REFUSED, OLDER, RecordStep, StepRow
from .measured import property_in
from .rulings import PairEvent

MOST_OPEN: Final = 10_000
"""Records with steps that are not settled yet: each is asked for once a tick, at 0.3 µs."""
STEPS_PER_S: Final = 100.0
"""First steps of records that are kept, in the long run: with its later ones some 0.2% of a core."""
BURST: Final = 10_000
"""So many more at a time: a connection out of step, or the doubts of a process that was killed."""
NOT_APPLIED: Final = {VerdictKind.THROTTLED: RecordStep.THROTTLED, VerdictKind.UNSENT: RecordStep.UNSENT}
SHIFTED: Final = Fault.SHIFTED.name.lower()
OF_EVENT: Final = {PairEvent.LOST: RecordStep.LOST, PairEvent.HELD: RecordStep.REFUSED}


class Allowance:
    """A token bucket of first steps."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left, self._at = float(BURST), 0.0

    def take(self, now: float) -> bool:
        """Whether one more is allowed."""
        self._left = min(BURST, self._left + max(0.0, now - self._at) * STEPS_PER_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RecordLog:
    """The steps of one run that wait for the journal."""

    def __init__(self) -> None:
        self._rows: list[StepRow] = []
        self._allowance = Allowance()
        self.open: set[int] = set()
        """Seqs of the records with steps whose rows were not final when they were last asked for."""
        self.totals: Counter[str] = Counter()
        """All steps so far by their words, those that are not kept among them."""
        self.causes: dict[str, int] = {}
        """Lost attempts by cause, a bounded number of causes."""
        self.left_out = 0

    @property
    def has_rows(self) -> bool:
        return bool(self._rows)

    def attempt(
        self, intent: Intent, event: PairEvent, verdict: Verdict, reply: Reply, *, sent_at: float, now: float
    ) -> None:
        """A reply that proves no creation, or the loss of one."""
        step = OF_EVENT.get(event) or NOT_APPLIED.get(verdict.kind, RecordStep.STOPPED)
        word = reply.fault.name.lower() if reply.fault else ""
        if step is RecordStep.REFUSED:
            word = property_in(verdict.errors)
        elif step is RecordStep.LOST:
            add_bounded(self.causes, word or f"http_{reply.status}")
        status = None if reply.fault else reply.status
        self._add(intent.seq, step, now, status=status, word=word, took_s=now - sent_at, wait_s=verdict.retry_after_s)

    def repeated(self, seq: int, now: float, *, took_s: float) -> None:
        """The reply told a record id that another reply had told before."""
        add_bounded(self.causes, SHIFTED)
        self._add(seq, RecordStep.LOST, now, word=SHIFTED, took_s=took_s)

    def named(self, seq: int, now: float, *, status: int, took_s: float) -> None:
        """The reply named a record that may be older than its request."""
        add_bounded(self.causes, OLDER)
        self._add(seq, RecordStep.LOST, now, status=status, word=OLDER, took_s=took_s)

    def recalled(self, seqs: Iterable[int], now: float) -> None:
        for seq in seqs:
            self._add(seq, RecordStep.RECALLED, now)

    def adopted(self, seqs: Iterable[int], now: float) -> None:
        for seq in seqs:
            self._add(seq, RecordStep.ADOPTED, now)

    def found(self, seq: int, record_id: int, now: float) -> None:
        self._add(seq, RecordStep.FOUND, now, record_id=record_id)

    def absent(self, seq: int, now: float, *, is_refused: bool = False) -> None:
        """`is_refused`: a refused pair was looked up, and its refusal stands."""
        self.totals[ABSENT_REFUSED] += is_refused
        self._add(seq, RecordStep.ABSENT, now)

    def settled(self, states: Sequence[tuple[int, int]], now: float) -> None:
        """The rows of these seqs are final, in these states."""
        for seq, state in states:
            self._add(seq, RecordStep.SETTLED, now, state=state)
            self.open.discard(seq)

    def take(self, now: float, wall: float) -> list[StepRow]:
        """The steps since the last call, with their times as epoch seconds; `now` and `wall` are the same moment."""
        taken, self._rows = self._rows, []
        return [(row[0], round(wall - (now - row[1]), 3), *row[2:]) for row in taken]

    def _add(
        self, seq: int, step: RecordStep, now: float, *, status: int | None = None, word: str = "",
        record_id: int | None = None, state: int | None = None, took_s: float | None = None,
        wait_s: float | None = None,
    ) -> None:  # fmt: skip
        self.totals[step.word] += 1
        if seq not in self.open:
            if len(self.open) >= MOST_OPEN or not self._allowance.take(now):
                self.left_out += 1
                return
            self.open.add(seq)
        took_s = None if took_s is None else round(took_s, 3)
        self._rows.append((seq, now, int(step), status, word or None, record_id, state, took_s, wait_s))
