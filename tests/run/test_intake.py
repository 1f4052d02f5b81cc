"""The intake with plain values: which rows are made of a source's rows, and which pairs become intents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from bulkwriter.errors import SourceError
from bulkwriter.model import Intent, State
from bulkwriter.rows import AppendRow, StoredRow
from bulkwriter.run.chunks import ChunkSize
from bulkwriter.run.existing_records import KnownRecords
from bulkwriter.run.intake import Intake, IntakePlan
from bulkwriter.run.intents import Intents, There
from bulkwriter.sources import iterable_source

PAIRS = [(1, n) for n in range(1, 7)]
PAIRS_NEW = [(2, n) for n in range(1, 7)]


@dataclass
class Noted:
    """Takes what an intake commits; `stored` are a journal's pairs, `states` those not settled."""

    stored: list[tuple[int, int]] = field(default_factory=list)
    states: dict[int, State] = field(default_factory=dict)
    count: int = 1_000
    """So many intents may be made at once."""
    rows: list[AppendRow] = field(default_factory=list)
    sent: list[Intent] = field(default_factory=list)
    existing: list[tuple[int, int]] = field(default_factory=list)
    batches: int = 0

    async def room(self, rows: int) -> int:
        return 0

    def at_once(self) -> int:
        return self.count

    async def read_pairs(self, first_seq: int, count: int) -> list[tuple[int, int]]:
        return self.stored[first_seq : first_seq + count]

    async def read_stored(self, first_seq: int, count: int, states: frozenset[int]) -> list[StoredRow]:
        chosen = [seq for seq, state in self.states.items() if state in states]
        return [(seq, *self.stored[seq], int(self.states[seq]), 4, None) for seq in chosen]

    async def read_singles(self, states: frozenset[int], *, after: int) -> list[StoredRow]:
        return []

    def note_source(self, news: tuple[int | None, bool] | None) -> None: ...

    async def commit_source(self) -> None: ...

    async def commit_new(self, rows: list[AppendRow], intents: list[Intent], there: There) -> frozenset[int]:
        self.rows += rows
        self.batches += 1
        await self.commit_again(intents, [], there)
        return frozenset()

    async def commit_again(self, intents: list[Intent], was: list[int], there: There) -> None:
        self.sent += intents
        self.existing += [intent.pair for intent, _, _ in there]

    def states_made(self) -> list[State]:
        return [State(row[4]) for row in self.rows]


class Listed:
    """What is on the server."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._pairs = pairs

    async def find(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        return {pair: 77 for pair in pairs if pair in self._pairs}

    def floor(self) -> int | None:
        return 900


def taken(
    pairs: Sequence[tuple[int, int]], noted: Noted, *, listed: Sequence[tuple[int, int]] = (), left: int | None = None
) -> Intake:
    """Take all of a source."""

    async def take() -> Intake:
        intake = Intake(
            iterable_source(list(pairs)),
            IntakePlan(stored=len(noted.stored), left=left),
            intents=cast(Intents, noted),
            known=cast(KnownRecords, Listed(listed)),
            chunk=ChunkSize(most=1_000, chunk_s=1.0),
        )
        await intake.run(lambda: 0.0)
        return intake

    return asyncio.run(take())


def test_a_new_pair_is_an_intent_a_repeat_a_duplicate_and_one_that_is_there_existing() -> None:
    noted = Noted()
    intake = taken([*PAIRS[:3], PAIRS[0], PAIRS[3]], noted, listed=[PAIRS[1]])
    assert noted.states_made() == [State.INTENT, State.PENDING, State.INTENT, State.DUPLICATE, State.INTENT]
    assert [intent.pair for intent in noted.sent] == [PAIRS[0], PAIRS[2], PAIRS[3]]
    assert noted.existing == [PAIRS[1]]
    assert {intent.floor for intent in noted.sent} == {900}
    assert intake.is_whole


def test_what_cannot_go_soon_is_pending_at_first_and_becomes_intents_by_and_by() -> None:
    noted = Noted(count=2)
    taken(PAIRS, noted)
    assert noted.states_made() == [State.INTENT] * 2 + [State.PENDING] * 4
    assert [intent.seq for intent in noted.sent] == list(range(6))


def test_no_more_pairs_are_sent_than_this_start_may() -> None:
    noted = Noted()
    intake = taken(PAIRS, noted, left=4)
    assert [intent.seq for intent in noted.sent] == [0, 1, 2, 3]
    assert intake.is_used_up
    assert not intake.is_whole


def test_rows_that_are_there_come_in_growing_batches_whatever_the_limit() -> None:
    """With batches of the limit, `--limit 1` over 20,000 existing records took a commit of the disk for each."""
    noted, there = Noted(), [(1, n) for n in range(1, 501)]
    intake = taken([*there, *PAIRS_NEW], noted, listed=there, left=2)
    assert [intent.pair for intent in noted.sent] == PAIRS_NEW[:2]
    assert noted.batches <= 12
    assert intake.is_used_up
    sent = noted.states_made()[500:]
    assert sent == [State.INTENT] * 2 + [State.PENDING] * (len(sent) - 2), "what was read beyond the limit waits"


def test_stored_rows_are_compared_and_those_not_sent_go_on_a_failed_one_anew() -> None:
    noted = Noted(stored=PAIRS[:4], states={1: State.PENDING, 3: State.FAILED})
    taken(PAIRS, noted)
    assert [(intent.seq, intent.attempts) for intent in noted.sent] == [(1, 4), (3, 0), (4, 0), (5, 0)]
    assert [row[0] for row in noted.rows] == [4, 5]


@pytest.mark.parametrize(
    ("pairs", "words"), [(PAIRS[:3], "ends after 3 rows"), ([*PAIRS[:3], (9, 9)], "the source 9,9")]
)
def test_another_source_than_the_journal_s_is_refused(pairs: list[tuple[int, int]], words: str) -> None:
    noted = Noted(stored=PAIRS[:4])
    with pytest.raises(SourceError, match=words):
        taken(pairs, noted)
    assert not noted.rows
