"""Watches a process while it runs and keeps what it does against the rules that hold at every moment.

- a pair is sent only while the journal has it, committed, as an intent or a doubt;
- never more requests in flight than set, one alone until something was created, or a look found that it was;
- never more than `rate` in any second;
- no outcome is told before its row is committed;
- nothing is sent before a `Retry-After` that was stated, nor after a stop or drain was announced;
- nothing is sent again while its last attempt may yet be applied, without looks that showed that it was not (judged at
  the end, by what the server has: `judge`).

What breaks a rule is kept in `failures`; the driver asks after each process.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from bulkwriter.core.classify import parse_retry_after
from bulkwriter.events import DoubtsSettled, Event, Stopping
from bulkwriter.model import SETTLED, Intent, Outcome, Reply, State
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal

from .process import Process

MAY_BE_SENT = (State.INTENT, State.IN_DOUBT)


class Watch:
    """The rules of one process."""

    def __init__(self, process: Process, settings: Settings, journal: Journal) -> None:
        self._process = process
        self._settings = settings
        self._journal = journal
        self._carriers: list[Any] = []  # lanes that were sent on; those that are not busy fall out
        self._sent_at: deque[float] = deque(maxlen=max(1, int(settings.rate or 1)) + 1)
        self._not_before = 0.0
        self._has_created = False
        self._is_stopping = False
        self.engine: Any = None
        self.failures: list[BaseException | str] = []
        self.attempts = 0
        self.list_calls = 0

    def tell(self, event: Event) -> None:
        """What the engine tells its observer."""
        self._process.note(f"told {event}")
        if isinstance(event, Stopping) and not event.is_source:
            self._is_stopping = True
        if isinstance(event, DoubtsSettled) and event.found and self.attempts:
            self._has_created = True

    def sent(self, lane: Any) -> None:
        """`lane` sends what it carries."""
        now, intent = self._process.now, lane.carried
        self.attempts += 1
        self._carriers = [other for other in self._busy() if other is not lane] + [lane]
        self._require(isinstance(intent, Intent), "no intent on the lane")
        self._require(self._is_durable(intent), f"{intent} is sent without a durable intent")
        in_flight = len(self._carriers)
        self._require(in_flight <= self._settings.in_flight, f"{in_flight} in flight")
        self._require(self._has_created or in_flight == 1, "more than the canary before anything was created")
        self._require(now >= self._not_before, f"sent {self._not_before - now:.3f} s before the stated Retry-After")
        self._require(not self._is_stopping, "sent after a stop was announced")
        self._check_rate(now)
        self.check()

    def heard(self, reply: Reply) -> None:
        """A lane that carries something is about to hear this."""
        if reply.status in (200, 201) and b'"Id"' in reply.body:
            self._has_created = True
        if reply.retry_after and reply.status in (409, 429, 503):
            stated_s = parse_retry_after(reply.retry_after, reply.date, 0.0)
            self._not_before = max(self._not_before, self._process.now + (stated_s or 0.0))

    def delivered(self, outcome: Outcome) -> None:
        """What a caller is told; it acts on it, so the journal has it, or knows better by now."""
        if outcome.state in SETTLED:
            state = State(self._journal.states_of(outcome.seq, 1)[0])
            self._require(state not in (State.PENDING, State.INTENT), f"{outcome} is told, and its row is {state.word}")

    def listed(self) -> None:
        self.list_calls += 1
        self.check()

    def check(self) -> None:
        """The invariants of the engine's own objects, and that no pair is in two places."""
        if self.engine is None:
            return
        self.engine.check()
        carried = sorted(lane.carried.seq for lane in self._busy())
        self._require(carried == sorted(self.engine.pairs.in_flight), "in flight is not what the lanes carry")

    def _busy(self) -> list[Any]:
        return [lane for lane in self._carriers if lane.is_busy]

    def _is_durable(self, intent: Intent) -> bool:
        states = self._journal.states_of(intent.seq, 1)
        return bool(states) and State(states[0]) in MAY_BE_SENT

    def _check_rate(self, now: float) -> None:
        rate = self._settings.rate
        if rate is None:
            return
        self._sent_at.append(now)
        if len(self._sent_at) == self._sent_at.maxlen:
            window_s = max(1.0, 1 / rate)
            took_s = now - self._sent_at[0]
            self._require(took_s >= window_s, f"{len(self._sent_at)} sent in {took_s:.4f} s at --rate {rate:g}")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            self.failures.append(what)
            self._process.note(f"BROKEN: {what}")
