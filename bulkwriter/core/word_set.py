"""A set of 64-bit words that takes 2 to 4.5 bytes a word where they lie close together, and about 25 where they do not.

Two forms, each for the words that it suits; a word is in one of them:

    dense      a roaring bitmap.  Words with the same upper 48 bits share a container: 2 bytes a word and 120 a
               container, which is 2 to 4.5 bytes a word on ids of one installation, and 122 on random ones.
    sparse     `Scattered`: 11 bytes a word, however they lie.

Which form new words go to is chosen by what comes.  From time to time some words (`PROBED`, at least a chunk) go to the
bitmap, and it is counted how many containers they begin.  If these are more than one in `SHARED` words, the words that
follow (`TRUSTED`) go to the sparse form.  So ids that only seem random at first, such as a shuffled table, go to the
bitmap once it has most of their containers.  Nothing moves from one form to the other.

On 10^6 random words this takes 29 bytes and 1.5 to 2.5 µs a word; the bitmap alone 123 bytes and 1.1 µs.

Sources: Chambi, Lemire et al., "Better bitmap performance with Roaring bitmaps" (2016), for the dense form; Bender et
al., "Don't thrash: how to cache your hash on flash" (2012), for a filter of short hashes before an exact store.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import length_hint
from typing import Final

from pyroaring import BitMap, BitMap64

BEGIN: Final = 1 << 15
"""The first words go to the bitmap whatever they are.  That takes 4 MB at most, and a shuffled table shows itself."""
PROBED: Final = 1 << 9
TRUSTED: Final = PROBED << 6
"""So many words follow what the probed ones have shown.  Chunks are of 2,000 in a fast run, so 1 in 17 random words is
in the bitmap: 7 bytes a word.
"""
SHARED: Final = 16
"""With fewer words a container the sparse form is the smaller one: 120 / 16 + 2 is 9.5 bytes a word."""
CONTAINER_BITS: Final = 16

HASHES: Final = (1 << 28) - 57
"""The largest prime below 2^28.  A word's hash is its remainder; of 10^7 words 2% meet one that is taken.  A filter of
32 bits would have 65,536 containers: 6 bytes a word instead of 2, and 1.3 s to begin them.
"""
TO_BUCKET: Final = 18
BUCKETS: Final = 1 + (HASHES >> TO_BUCKET)
MOST_UNSORTED: Final = 512
"""So many words of a bucket, or an eighth of it, are looked through one by one before it is sorted: 8 µs.  A bucket has
1,000 words of 10^6.  Few words ask for it, but a source that has all its pairs twice asks for each.
"""


class WordSet:
    """A set of integers from 0 to 2^64 - 1.  Nothing is ever removed.  Tests give shorter stretches."""

    __slots__ = ("_begun", "_dense", "_is_probing", "_is_scattered", "_left", "_probed", "_sparse", "_trusted")

    def __init__(self, *, begin: int = BEGIN, probed: int = PROBED, trusted: int = TRUSTED) -> None:
        self._dense = BitMap64()
        self._sparse: Scattered | None = None  # until it is needed
        self._is_scattered = False
        self._is_probing = False
        self._left = begin
        self._probed = probed
        self._trusted = trusted
        self._begun = 0

    def __len__(self) -> int:
        """How many words there are.  Walks the bitmap: 3 ms at 10^6 scattered words, so not for every word."""
        return len(self._dense) + (0 if self._sparse is None else len(self._sparse))

    def __contains__(self, word: int) -> bool:
        return word in self._dense or (self._sparse is not None and word in self._sparse)

    def has_each(self, words: Iterable[int]) -> Iterator[bool]:
        """Whether each of `words` is here; nothing may be added meanwhile."""
        return map(self._dense.__contains__ if self._sparse is None else self.__contains__, words)

    def __iter__(self) -> Iterator[int]:
        """Every word once, in no promised order; nothing may be added meanwhile."""
        yield from self._dense
        if self._sparse is not None:
            yield from self._sparse

    def add(self, word: int) -> bool:
        """Add one word; True if it is new."""
        if self._is_probing or self._sparse is not None:
            return not self.add_all((word,))
        self._left -= 1  # the usual way, in a third of the time
        if self._left <= 0:
            self._go_on()
        return add_word(self._dense, word)

    def add_all(self, words: Sequence[int]) -> list[int]:
        """Add words, at best some thousands at once.  Return the ascending indexes of those that were there already,
        or came earlier in `words`.
        """
        dense, sparse = self._dense, self._sparse
        if self._is_probing:
            self._begun += containers_begun(dense, words)
        if self._is_scattered:
            if sparse is None:
                sparse = self._sparse = Scattered()
            duplicates = sparse.add_all(words, besides=dense)
        elif sparse is None:
            duplicates = add_words(dense, words)
        else:
            duplicates = [i for i, word in enumerate(words) if word in sparse or not add_word(dense, word)]
        self._left -= len(words)
        if self._left <= 0:
            self._go_on()
        return duplicates

    def _go_on(self) -> None:
        """From probed words to those that are trusted to be like them, or back."""
        if self._is_probing:
            self._is_scattered = self._begun * SHARED > self._probed - self._left
            self._left = self._trusted
        else:
            self._is_scattered = False
            self._begun, self._left = 0, self._probed
        self._is_probing = not self._is_probing

    def check(self) -> None:
        """Invariants, for tests."""
        assert self._left > 0
        assert not (self._is_probing and self._is_scattered)
        if self._sparse is not None:
            self._sparse.check()
            assert not any(word in self._dense for word in self._sparse)


class Scattered:
    """An exact set of words that lie anywhere: a filter of short hashes, and the words themselves.

    A word whose hash is new is new.  That is nearly always so, and takes 0.3 µs.  Else the word is looked for among
    those of its bucket: by halves in the part that is sorted, one by one in what came since.
    """

    __slots__ = ("_buckets", "_hashes", "_sorted")

    def __init__(self) -> None:
        self._hashes = BitMap()
        self._buckets = [array("Q") for _ in range(BUCKETS)]
        self._sorted = [0] * BUCKETS  # how many words of each bucket, from its first on, are in order

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def __iter__(self) -> Iterator[int]:
        for bucket in self._buckets:
            yield from bucket

    def __contains__(self, word: int) -> bool:
        key = word % HASHES
        return key in self._hashes and self._has(word, key >> TO_BUCKET)

    def add_all(self, words: Iterable[int], *, besides: BitMap64) -> list[int]:
        """As `WordSet.add_all`, for a set of which `besides` is another part."""
        hashes, buckets = self._hashes, self._buckets
        duplicates: list[int] = []
        for i, word in enumerate(words):
            key = word % HASHES
            if word in besides or (key in hashes and self._has(word, key >> TO_BUCKET)):
                duplicates.append(i)
            else:
                hashes.add(key)
                buckets[key >> TO_BUCKET].append(word)
        return duplicates

    def _has(self, word: int, number: int) -> bool:
        bucket, end = self._buckets[number], self._sorted[number]
        if len(bucket) - end > max(MOST_UNSORTED, len(bucket) >> 3):
            bucket = self._buckets[number] = array("Q", sorted(bucket))
            end = self._sorted[number] = len(bucket)
        place = bisect_left(bucket, word, 0, end)
        return (place < end and bucket[place] == word) or word in bucket[end:]

    def check(self) -> None:
        for number, bucket in enumerate(self._buckets):
            end = self._sorted[number]
            assert list(bucket[:end]) == sorted(set(bucket[:end]))
            for word in bucket:
                assert word % HASHES in self._hashes
                assert word % HASHES >> TO_BUCKET == number


def containers_begun(bitmap: BitMap64, words: Iterable[int]) -> int:
    """How many containers these words would add to `bitmap`."""
    heads = {word >> CONTAINER_BITS for word in words}
    return sum(not has_container(bitmap, head) for head in heads)


def has_container(bitmap: BitMap64, head: int) -> bool:
    return next(bitmap.iter_equal_or_larger(head << CONTAINER_BITS), -1) >> CONTAINER_BITS == head


def add_word(bitmap: BitMap64, word: int) -> bool:
    if word in bitmap:
        return False
    bitmap.add(word)
    return True


def add_words(bitmap: BitMap64, words: Sequence[int]) -> list[int]:
    """Add words to `bitmap`.  Return the indexes of those that were there already.

    The time goes to `add_checked` in a C loop: one look-up a word, and an exception only for one that is there.  The
    other way, joining a chunk's bitmap to the whole, walks all of the whole: 53 µs a word at 10^6 random words.
    """
    duplicates: list[int] = []
    rest = iter(words)
    adding = map(bitmap.add_checked, rest)
    while True:
        try:
            deque(adding, maxlen=0)  # runs the map in C: half the time of a loop
        except KeyError:  # the word just taken is there already; `adding` goes on behind it
            duplicates.append(len(words) - length_hint(rest) - 1)
        else:
            return duplicates
