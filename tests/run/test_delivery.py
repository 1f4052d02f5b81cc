"""What the consumer of a stream is told: each settled outcome once, whoever comes to know of it first."""

from __future__ import annotations

from bulkwriter.model import Outcome, Pair, State
from bulkwriter.run.delivery import Delivery
from bulkwriter.store.schema import ExportRow

from ..sim.loop import run_virtual


def told(delivery: Delivery) -> list[int]:
    async def main() -> list[int]:
        delivery.end()
        return [outcome.seq async for outcome in delivery.outcomes()]

    return run_virtual(main)


def row(seq: int, state: State) -> ExportRow:
    return ExportRow(seq, seq + 2, Pair(1, seq + 1), state, 1, 70 + seq, 200, (), "", "", None)


def test_a_row_that_settles_just_before_it_is_read_again_is_told_once() -> None:
    """A stream was left while it was on its way; another begins, and is told of it by the commit and by the journal."""
    delivery = Delivery(10, frozenset({int(State.FAILED)}), stored=3)
    delivery.put(Outcome(1, Pair(1, 2), State.CREATED, 71, 1, 200))
    for seq, state in enumerate((State.CREATED, State.CREATED, State.FAILED)):
        delivery.put_stored(row(seq, state))
    delivery.put(Outcome(3, Pair(1, 4), State.CREATED, 73, 1, 200))
    assert told(delivery) == [1, 0, 3]


def test_rows_of_earlier_sources_are_told_only_if_this_source_has_them() -> None:
    """Without a journal file: a stream was left with rows on their way, and another source has some of their pairs."""
    delivery = Delivery(10, frozenset({int(State.PENDING), int(State.FAILED)}), stored=6, is_other=True)
    for seq in range(3):
        delivery.put(Outcome(seq, Pair(1, seq + 1), State.CREATED, 70 + seq, 1, 200))
    for seq, state in ((1, State.CREATED), (2, State.INTENT), (3, State.INTENT), (5, State.PENDING)):
        delivery.put_stored(row(seq, state))  # 2 settled after its row was read, and 0 and 4 are of no interest here
    for seq in range(3, 7):
        delivery.put(Outcome(seq, Pair(1, seq + 1), State.CREATED, 70 + seq, 1, 200))
    assert told(delivery) == [1, 2, 3, 5, 6]
