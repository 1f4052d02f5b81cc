"""Which pairs and which record ids a run has seen already: exact sets in a few bytes an entry.

A pair of 64-bit ids does not fit into one 64-bit word (`first << 32 | second` makes (1, 2·2^32+5) equal to (3, 5)).
So the *high* halves of both ids choose a set of words (`word_set`), and only the low halves share a word in it:

    sets[first >> 32, second >> 32]  holds  (first mod 2^32) << 32 | (second mod 2^32)

Ids of one installation lie close together, so in practice there is one set of words, in which the second ids of one
first id are runs or dense blocks: about 2 to 4.5 bytes a pair, 20 where ids are random.  Ids with very many different
high halves would make very many sets; beyond `MOST_SETS` such pairs go to a plain set instead.

Invariant: a pair is in the set of its high halves where that set exists, else in the plain set, never in both: no set
of words is made once the plain set has been begun.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from typing import Final

from pyroaring import BitMap64

from .word_set import WordSet, add_words

HALF: Final = 1 << 32
LOW: Final = HALF - 1
WORDS: Final = 1 << 64
MOST_SETS: Final = 1_024
"""An empty set costs about 300 bytes; real sources need one to four."""


class PairSet:
    """A set of (first id, second id); each id is 0 to 2^63-1.  Nothing is ever removed."""

    __slots__ = ("_first", "_most_sets", "_rest", "_sets")

    def __init__(self, pairs: Iterable[tuple[int, int]] = (), *, most_sets: int = MOST_SETS) -> None:
        self._first = WordSet()  # of pairs whose ids are both below 2^32: nearly always all
        self._sets: dict[tuple[int, int], WordSet] = {(0, 0): self._first}
        self._rest: set[int] = set()
        self._most_sets = most_sets
        for pair in pairs:
            self.add(pair)

    def __len__(self) -> int:
        """How many pairs there are.  Walks the words: 3 ms at 10^6 scattered pairs, so not for every pair."""
        return sum(map(len, self._sets.values())) + len(self._rest)

    def __contains__(self, pair: tuple[int, int]) -> bool:
        first, second = pair
        words = self._sets.get((first >> 32, second >> 32))
        if words is None:
            return first << 64 | second in self._rest
        return ((first & LOW) << 32 | second & LOW) in words

    def among(self, pairs: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of `pairs` that are in the set, in their order."""
        if len(self._sets) == 1 and not self._rest:  # nearly always: a third of the time
            words = [first << 32 | second for first, second in pairs if first < HALF and second < HALF]
            if len(words) == len(pairs):
                return list(compress(pairs, self._first.has_each(words)))
        return [pair for pair in pairs if pair in self]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Every pair once, in no promised order; nothing may be added meanwhile."""
        for (first_high, second_high), words in self._sets.items():
            for word in words:
                yield first_high << 32 | word >> 32, second_high << 32 | word & LOW
        for packed in self._rest:
            yield packed >> 64, packed & (1 << 64) - 1

    def add(self, pair: tuple[int, int]) -> bool:
        """Add one pair; True if it is new."""
        first, second = pair
        words = self._sets.get((first >> 32, second >> 32))
        if words is None:
            if len(self._sets) >= self._most_sets:
                return add_to_set(self._rest, first << 64 | second)
            words = self._sets[first >> 32, second >> 32] = WordSet()
        return words.add((first & LOW) << 32 | second & LOW)

    def add_all(self, pairs: Sequence[tuple[int, int] | None]) -> list[int]:
        """Add many.  Return the ascending indexes of the entries that an earlier call or an earlier entry had added.

        None stands for a bad row and is skipped.  Where all ids are below 2^32 and none is None, this is several times
        faster than `add`.
        """
        if None not in pairs:
            words = [first << 32 | second for first, second in pairs if first < HALF and second < HALF]  # type: ignore[misc]
            if len(words) == len(pairs):
                return self._first.add_all(words)
        return [i for i, pair in enumerate(pairs) if pair is not None and not self.add(pair)]

    def check(self) -> None:
        """Invariants, for tests."""
        assert self._sets[0, 0] is self._first
        assert len(self._sets) == self._most_sets or not self._rest
        for packed in self._rest:
            assert (packed >> 96, packed >> 32 & LOW) not in self._sets


class IdSet:
    """A set of record ids, which begins with those of `bitmap` and adds to it.  A server may send any integer, so ids
    that do not fit into 64 bits are kept apart.
    """

    __slots__ = ("_bitmap", "_odd")

    def __init__(self, bitmap: BitMap64 | None = None) -> None:
        self._bitmap = BitMap64() if bitmap is None else bitmap
        self._odd: set[int] = set()

    def __len__(self) -> int:
        """How many ids there are.  Walks the bitmap, as `PairSet.__len__` does."""
        return len(self._bitmap) + len(self._odd)

    def __iter__(self) -> Iterator[int]:
        """Every id once, in no promised order; nothing may be added meanwhile."""
        yield from self._bitmap
        yield from self._odd

    def __contains__(self, number: int) -> bool:
        return number in self._bitmap if 0 <= number < WORDS else number in self._odd

    def add(self, number: int) -> bool:
        """Add one id; True if it is new."""
        try:
            self._bitmap.add_checked(number)  # one call instead of `in` and `add`: 0.2 µs less
        except KeyError:
            return False
        except OverflowError:
            return add_to_set(self._odd, number)
        return True

    def add_new(self, numbers: list[int]) -> list[int]:
        """Add many.  Return the ascending indexes of those that an earlier call or an earlier entry had added."""
        if max(numbers) < WORDS and min(numbers) >= 0:
            return add_words(self._bitmap, numbers)
        return [i for i, number in enumerate(numbers) if not self.add(number)]

    def add_all(self, numbers: list[int]) -> None:
        """Add many; some may be there already.  It takes 0.03 µs an id instead of 0.1."""
        try:
            self._bitmap.update(numbers)
        except OverflowError:
            for number in numbers:
                self.add(number)

    @property
    def highest(self) -> int:
        """The highest id, at least 0."""
        return max(0, self._bitmap.max() if self._bitmap else 0, *self._odd)


def add_to_set(numbers: set[int], number: int) -> bool:
    if number in numbers:
        return False
    numbers.add(number)
    return True
