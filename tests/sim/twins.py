"""Broken twins: for each mechanism of the promise a variant without it, put in place of the real one inside tests only.

A suite that does not catch them would not catch the mistake that they stand for.  Each is a function that makes patches
for our own classes, and says in its docstring what it leaves out; nothing in production code knows of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

from bulkwriter.adaptive import Controller
from bulkwriter.core import classify as classifying
from bulkwriter.core import rulings
from bulkwriter.core.dedupe import PairSet
from bulkwriter.core.doubts import Doubt, Doubts
from bulkwriter.core.pairs import Pairs
from bulkwriter.listing.lister import Lister
from bulkwriter.listing.lists import ListFailed
from bulkwriter.model import Fault, Intent, State, Verdict, VerdictKind
from bulkwriter.net.api import ListPage
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.run import entrance, intents
from bulkwriter.run.committer import Committer
from bulkwriter.run.entrance import Entered, Entering
from bulkwriter.run.intents import Intents, existing_row, intent_row
from bulkwriter.run.record_ids import RecordIds
from bulkwriter.run.row_finder import RowFinder
from bulkwriter.run.sender import Sender
from bulkwriter.run.token import TokenRefresh
from bulkwriter.store.journal import Journal

from .fates import SHIFT
from .twin import TWINS, twin
from .world import World

__all__ = ["TWINS"]


def has_singles(world: World) -> bool:
    return sum(life.use in ("singles", "batches") for life in world.lives) > 1


@twin()
def no_intent_before_the_send() -> list[Any]:
    """Pairs are sent first and noted afterwards."""

    async def commit(self: Intents, rows: Any, intents: Any, there: Any) -> None:
        await self._hand_over(intents)
        await real(self, rows, [], there)

    real = Intents._commit_new
    return [patch.object(Intents, "_commit_new", commit)]


@twin()
def outcome_before_the_send() -> list[Any]:
    """A pair is settled when it is sent, not when it is answered."""

    def next_one(self: Pairs) -> Intent:
        intent = real(self)
        self.answered(intent, (intent.seq, int(State.CREATED), intent.attempts + 1, None, None, None))
        self.in_flight[intent.seq] = intent
        return intent

    real = Pairs.next
    return [patch.object(Pairs, "next", next_one), patch.object(Pairs, "check", lambda self: None)]


@twin()
def sent_again_after_a_500() -> list[Any]:
    """A server error is taken for "not applied"."""

    def classify(reply: Any, **known: Any) -> Verdict:
        verdict = real(reply, **known)
        if reply.status >= 500 and verdict.kind is VerdictKind.IN_DOUBT:
            return verdict._replace(kind=VerdictKind.UNSENT)
        return verdict

    real = classifying.classify
    return [patch.object(rulings, "classify", classify)]


@twin()
def sent_again_after_a_lost_reply() -> list[Any]:
    """A lost connection is taken for "not sent"."""

    def classify(reply: Any, **known: Any) -> Verdict:
        verdict = real(reply, **known)
        return verdict._replace(kind=VerdictKind.UNSENT) if reply.fault is Fault.LOST else verdict

    real = classifying.classify
    return [patch.object(rulings, "classify", classify)]


@twin(lambda world: "old picture" in world.odds.lists)
def one_look_only() -> list[Any]:
    """The first look that does not see a record settles that there is none."""

    def not_seen(self: Doubts, doubt: Doubt, *, began_at: float, ended_at: float) -> bool:
        if not real(self, doubt, began_at=began_at, ended_at=ended_at) and doubt.absent_at is None:
            return False
        self._doubts.pop(doubt.intent.seq, None)
        return True

    real = Doubts.not_seen
    return [patch.object(Doubts, "not_seen", not_seen)]


@twin(lambda world: world.settings.late_apply_s > 0)
def a_look_too_early() -> list[Any]:
    """Looks do not wait until a lost request can no longer be applied."""

    def due_at(self: Doubts, doubt: Doubt) -> float:
        return doubt.ended_at if doubt.absent_at is None else doubt.absent_at

    return [patch.object(Doubts, "due_at", due_at), patch.object(Doubts, "check", lambda self: None)]


@twin()
def a_failed_list_is_an_empty_one() -> list[Any]:
    """What cannot be read is taken for "nothing there"."""

    async def page(self: Lister, filters: Any, number: int) -> Any:
        try:
            return await real(self, filters, number)
        except ListFailed:
            return ListPage([], number, 1_000, 0, has_next=False)

    real = Lister.page
    return [patch.object(Lister, "page", page)]


@twin(lambda world: "repeated reply" in world.odds.lanes or world.is_shifty)
def a_lane_out_of_step_is_believed() -> list[Any]:
    """Neither an id that comes twice nor bytes that nobody asked for put anything in doubt."""

    return [
        patch.object(RecordIds, "add_all", lambda self, ids, floors: ([], [])),
        patch.object(Sender, "strayed", lambda self, lane: None),
    ]


@twin(lambda world: SHIFT in world.odds.lanes)
def a_stray_puts_nothing_in_doubt() -> list[Any]:
    """A lane that is found out of step is closed, and what it said before is kept."""
    return [patch.object(Pairs, "recalled", lambda self, told, now, floor: None)]


@twin()
def ids_packed_into_one_word() -> list[Any]:
    """Both ids of a pair share 64 bits."""

    def word(pair: tuple[int, int]) -> tuple[int, int]:
        return 0, (pair[0] << 32 | pair[1]) % 2**64 % 2**63

    def add_all(self: PairSet, pairs: Any) -> list[int]:
        return [i for i, pair in enumerate(pairs) if pair is not None and not self.add(pair)]

    has, add = PairSet.__contains__, PairSet.add
    return [
        patch.object(PairSet, "__contains__", lambda self, pair: has(self, word(pair))),
        patch.object(PairSet, "add", lambda self, pair: add(self, word(pair))),
        patch.object(PairSet, "add_all", add_all),
    ]


@twin(lambda world: bool(world.token_lost_at) and 1 < world.settings.in_flight <= 8)
def an_old_token_s_401_stops() -> list[Any]:
    """A 401 counts against the current token whatever token the request carried.

    Alone in flight no request outlasts its token, and among many one more 401 hardly ever comes last.
    """

    def classify(reply: Any, **known: Any) -> Verdict:
        return real(reply, **{**known, "is_current_token": True})

    real = classifying.classify
    return [patch.object(rulings, "classify", classify)]


@twin()
def a_stated_wait_is_not_kept() -> list[Any]:
    """`Retry-After` is read and forgotten."""

    def on_throttle(self: Controller, now: float, sent_at: float, retry_after_s: float | None) -> float:
        return real(self, now, sent_at, None)

    real = Controller.on_throttle
    return [patch.object(Controller, "on_throttle", on_throttle)]


@twin(lambda world: world.settings.rate is not None)
def the_ceiling_is_only_an_average() -> list[Any]:
    """The limiter alone paces; no guard keeps the promise for every second."""
    return [patch.object(Ceiling, "opens_at", opens_by_permit)]


def opens_by_permit(self: Ceiling, now: float) -> float:
    if self._permits == 0:
        self._wanted.set()
        return float("inf")
    return now


@twin()
def an_outcome_is_known_before_it_is_durable() -> list[Any]:
    """Outcomes are delivered when their commit begins."""

    async def commit(self: Committer) -> int:
        deliver = self.deliveries.deliver
        deliver(*self._pairs.take_rows())
        with patch.object(self.deliveries, "deliver", lambda intents, rows: None):
            return await real(self)

    real = Committer._commit
    return [patch.object(Committer, "_commit", commit)]


@twin(lambda world: any(life.ending == "cancel" for life in world.lives))
def a_cancel_breaks_a_commit() -> list[Any]:
    """A commit and its hand-over are not one step."""

    async def at_once(step: Any) -> Any:
        return await step

    return [patch.object(intents, "to_its_end", at_once)]


@twin()
def a_single_write_knows_no_source() -> list[Any]:
    """Rows of a source that is being taken, and of single writes, are not looked for by their pairs."""

    def find(self: RowFinder, journal: Journal, pairs: Any, **bounds: Any) -> dict[Any, Any]:
        return {}

    return [patch.object(RowFinder, "find", find), patch.object(RowFinder, "_without_singles", without)]


def without(self: RowFinder, journal: Journal, rows: Any) -> tuple[Any, frozenset[int]]:
    return rows, frozenset()


@twin()
def doubts_alone_get_no_token() -> list[Any]:
    """Only a source's pairs ask for a token."""

    async def renew(self: TokenRefresh) -> None:
        return

    return [patch.object(TokenRefresh, "renew", renew)]


@twin(has_singles)
def a_row_is_claimed_twice() -> list[Any]:
    """Nobody looks whether a stored row is still unsent."""

    async def commit(self: Intents, intents: Any, was: Any, there: Any) -> None:
        rows = [intent_row(intent) for intent in intents]
        await self._store.settle([*rows, *(existing_row(found) for found in there)])
        self._found(there)
        await self._hand_over(intents)

    def enter(journal: Journal, finder: RowFinder, group: Entering) -> Entered:
        return real(journal, finder, replace(group, again=frozenset(map(int, State))))

    real = entrance.enter
    return [patch.object(Intents, "_commit_again", commit), patch("bulkwriter.run.committer.enter", enter)]


@twin(lambda world: world.settings.journal is None)
def another_source_knows_no_earlier_one() -> list[Any]:
    """Where no journal is kept, rows of earlier sources are not looked up by value."""

    async def read_earlier(self: Intents, pairs: Any, first_seq: int) -> dict[Any, Any]:
        return {}

    return [patch.object(Intents, "read_earlier", read_earlier)]
