"""Whether lists show what this run made.  Only then is a pair that they do not show surely not there.  Pure.

Lists may be narrowed to what a token's user may see: those of some courses or locations.  Such
a list is whole and new, and says nothing of a pair that it hides.  So two things are noted of all lists of a run:

    shown     the first and the second ids of records that a list has shown: this token sees them
    hidden    records that the run made, and that a list lacked though it had to show them

    the pair's first and second id were both shown     what lists do not show of it is not there
    else, `FEWEST_HIDDEN` or more records are hidden   nothing is known
    else                                               what lists do not show is not there

One hidden record is no sign: somebody may have deleted it.  If somebody has deleted several, a pair of other ids
may stay in doubt.  That costs a look by hand; the other mistake would cost a second record.  Where the run
made no other record of the pair's first and second id, nothing can show that they are hidden.

`verify` and `undo` have read all lists, and know the record ids of many pairs (`perhaps_hidden`).  There the hidden
records are counted for each id by itself, so that a pair which was never written is still called missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ..core.dedupe import PairSet
from ..net.api import Record
from .lists import ListFailed

FEWEST_HIDDEN: Final = 2
SEES_ALL: Final = (
    "use a token whose user sees every location, such as a full administrator's, and write nothing for want of these "
    "until then; if somebody deleted these records, look them up by hand"
)
"""The hint where lists may hide records."""

HIDDEN_S: Final = 5.0
"""No list lags so much more than is said, so what it does not show for so long it hides."""


class Hidden(ListFailed):
    """Lists do not show records that the run made.  It counts as permanent once it was so for `least_s`."""

    def __init__(self, reason: str, *, least_s: float = HIDDEN_S) -> None:
        super().__init__(reason)
        self.least_s = least_s


class Visibility:
    """What the lists of one process have shown, and what they have hidden."""

    def __init__(self) -> None:
        self._shown: tuple[set[int], set[int]] = set(), set()
        self._hidden: dict[int, tuple[int, int]] = {}
        self.own: dict[int, list[Record]] = {}
        """By the seq of a doubt: records that the run had made near it, of which a look must show all."""
        self.is_hiding = False
        """Whether `may_hide` was true since the look began."""

    def note_shown(self, records: Iterable[Record], wanted: tuple[set[int], set[int]]) -> None:
        """A list shows these records.  Of their ids those `wanted` are kept: the first ids, the second ids."""
        for record_id, pair in records:
            for axis in (0, 1):
                if pair[axis] in wanted[axis]:
                    self._shown[axis].add(pair[axis])
            if self._hidden:
                self._hidden.pop(record_id, None)

    def note_hidden(self, own: Iterable[Record]) -> None:
        """A list lacks these records of the run, though it had to show them."""
        self._hidden.update(own)

    def is_seen(self, axis: int, number: int) -> bool:
        """Whether lists have shown a record with this first (axis 0) or second id (axis 1)."""
        return number in self._shown[axis]

    def sees(self, pair: tuple[int, int]) -> bool:
        """Whether lists have shown both ids of the pair, so that they would show a record of it."""
        return pair[0] in self._shown[0] and pair[1] in self._shown[1]

    @property
    def hides(self) -> bool:
        """Whether lists hide records of the run."""
        return len(self._hidden) >= FEWEST_HIDDEN

    def may_hide(self, pair: tuple[int, int]) -> bool:
        """Whether a record of the pair may be there though no list shows it."""
        may_hide = self.hides and not self.sees(pair)
        self.is_hiding = self.is_hiding or may_hide
        return may_hide

    def look_begins(self) -> None:
        self.is_hiding = False

    def failure(self) -> Hidden:
        """What to tell where `may_hide`."""
        return Hidden(f"this token does not see records that this run made {why_unseen(list(self._hidden))}")


def perhaps_hidden(required: PairSet, unseen: PairSet, known: PairSet, unlisted: PairSet) -> PairSet:
    """Those of the `unseen` pairs with a first or second id of which lists show no pair, and should show several.

    Only pairs with a `known` record id should be shown: a pair that was never written is missing.  One that is
    `unlisted` suffices, since it is there.
    """
    hidden = PairSet()
    if not known:
        return hidden
    counts: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for pair in known:
        for axis in (0, 1):
            counts[axis][pair[axis]] += FEWEST_HIDDEN if pair in unlisted else 1
    shown: tuple[set[int], set[int]] = set(), set()
    for pair in required:
        for axis in (0, 1):
            if pair[axis] in counts[axis] and pair not in unseen:
                shown[axis].add(pair[axis])
    for pair in unseen:
        if pair not in unlisted and any(
            pair[x] not in shown[x] and counts[x][pair[x]] >= FEWEST_HIDDEN for x in (0, 1)
        ):
            hidden.add(pair)
    return hidden


def why_unseen(record_ids: Sequence[int]) -> str:
    """Which records a token does not see, a few of them, and what may be the reason."""
    some = ", ".join(map(str, record_ids[:3])) + (", …" if len(record_ids) > 3 else "")
    return f"(Id {some}): its user lacks their location, or somebody deleted them"


def wanted_of(pairs: Sequence[tuple[int, int]]) -> tuple[set[int], set[int]]:
    """The first and the second ids of these pairs."""
    return {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
