"""Why pairs were rejected, invalid or failed, as people are told: from a journal, below a summary, in a progress line.

The reasons of a whole run come from the rows of its journal, whatever process wrote them; those of a run that is going
on come with its snapshots.  Each has its count and one example, the first pair of which it was said and where that is.
At most `MOST` a state are told; what `export` writes has all of them.

Invariant: of each state that has any, the counts told add up to its count in the table above.  Nothing a server or a
source said reaches the terminal but by `core.reasons.escaped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core.reasons import ReasonCounter, place_of, shown_first
from ..model import HAVE_REASONS, Counts, Reason, Reasons
from . import describe

if TYPE_CHECKING:
    from ..store.journal_reader import JournalReader

MOST: Final = 3


def reasons_of(reader: JournalReader) -> Reasons:
    """The reasons of all rows of a journal: 4 s for 10^6 rows that each say something else, in constant memory."""
    counter = ReasonCounter()

    def place() -> str:
        ((_, first, second, _, _, line),) = reader.read(said.seq, 1)
        return place_of(line, None if first is None or second is None else (first, second))

    for said in reader.reasons():
        counter.add(said.state.word, said.text, kind=said.kind, count=said.rows, place=place)
    return counter.top()


def have_all(reasons: Reasons, counts: Counts) -> bool:
    """Whether these reasons are those of every pair that was not written."""
    return all(
        sum(reason.count for reason in reasons.get(state, ())) == getattr(counts, state) for state in HAVE_REASONS
    )


def lines(reasons: Reasons, *, indent: str = "  ") -> list[str]:
    """A paragraph for each state that has reasons: each with its count, below it the example."""
    told = []
    for state in HAVE_REASONS:
        if mine := reasons.get(state):
            told += ["", f"{indent}why {describe.state(state)}", *map(f"{indent}  ".__add__, state_lines(mine))]
    return told


def state_lines(reasons: tuple[Reason, ...]) -> list[str]:
    shown, rest = shown_first(reasons, MOST)
    width = max((len(describe.number(reason.count)) for reason in shown), default=1)
    told = []
    for reason in shown:
        told.append(f"{describe.number(reason.count):>{width}}  {reason.reason}")
        told.append(f"{'':>{width}}  such as {such_as(reason)}")
    if rest:
        told.append(f"…and {describe.number(rest)} more, for other reasons")
    return told


def such_as(reason: Reason) -> str:
    """The example; where its words are the reason's own, its place alone."""
    return reason.example.removesuffix(f": {reason.reason}")


def in_short(reasons: Reasons) -> str:
    """The most frequent reason of all, for a line of progress, or ""."""
    firsts = [(mine[0], state) for state in HAVE_REASONS if (mine := reasons.get(state))]
    if not firsts:
        return ""
    reason, state = max(firsts, key=lambda both: both[0].count)
    return f"most often {describe.state(state)}, {describe.number(reason.count)}: {reason.reason}"
