"""Groups the reasons why pairs were not written, in bounded memory.

A server that refuses 10,000 pairs says the same 10,000 times, with other ids each time.  So does a source with the same
fault in every row.  `kind_of` removes everything that may be a value, so that such texts become one *kind*:

    "there is no reader 42", "there is no reader 43"    one kind, told as "there is no reader …"
    "'a' is no id from 1 to 9", "'b' is no id from …"   one kind, told as "… is no id from 1 to 9"

Values are quoted texts, e-mail addresses, and words with a digit.  The same rule decides whether two refusals use the
same words.  `stops` and `refusals` depend on that.

`ReasonCounter` counts texts by state and kind.  The example of a kind is the text of its lowest row, whichever came
first, so that a run and its journal tell the same.  In the reason that is shown, a value stays if it was the same in
all texts of the kind.  Any other value becomes "…".  The author of a text may know better which part is a value, and
may then give the kind as well.

Invariants: the counts of a state add up to the number of texts added for it.  A state has at most `MOST_KINDS` kinds;
all further texts are counted together as `OTHER`.  A `Reason` can neither move a cursor nor colour a terminal
(`escaped`).  Pure.  Not here: the origin of the texts (`cli.reason_lines` for a journal's rows, `run` for its own).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Final

from ..model import Pair, Reason, Reasons, Verdict

MOST_KINDS: Final = 200
"""Kinds a state, at about 1 kB each.  A higher number finds a frequent kind that comes after many rare ones."""
SHOWN: Final = 10
"""Kinds a state that are shown; one more line counts the rest."""
TEXT_CHARS: Final = 1_000
"""Only so much of a text is looked at.  A server's text is shorter already, but a journal may hold anything."""
REASON_CHARS: Final = 200
"""The longest reason or example that is shown."""
OTHER: Final = "other reasons"
NOT_SAID: Final = "no reason was given"
BEYOND: Final = ()  # the key of all kinds beyond `MOST_KINDS`: no text has no parts
_VALUE: Final = re.compile(  # each alternative begins with a set or a boundary: 1.8 µs a sentence instead of 10
    r"""(["“‘«`'](?:(?<=")[^"]*"|(?<=“)[^”]*”|(?<=‘)[^’]*’|(?<=«)[^»]*»|(?<=`)[^`]*`"""
    r"""|(?<!\w')[^']*'(?!\w))"""  # not the apostrophes of "isn't" and "can't"
    r"""|\b[^\W\d]*+[\d@](?:[\w.,:^+@-]*\w)?)"""  # 42, 1,234.5, 2^63-1, 2026-11-30T08:00, A17, name@host
)


def kind_of(text: str) -> tuple[str, ...]:
    """The parts of `text` between its values.  Texts that say the same of different pairs have equal parts."""
    return tuple(_VALUE.split(text)[::2])


def words_of(status: int, verdict: Verdict) -> tuple[object, ...]:
    """What a refusal says, without its values: other ids do not make another refusal."""
    said = [(error.property_name, kind_of(error.message)) for error in verdict.errors]
    return (status, *said, *([] if said else [kind_of(verdict.message)]))


def subject_of(status: int, verdict: Verdict) -> tuple[object, ...]:
    """What a refusal is about, whatever its words are: they may name the refused person, which is no value here."""
    return (status, *sorted({error.property_name for error in verdict.errors}))


def escaped(text: str, chars: int = REASON_CHARS) -> str:
    """`text` on one line of at most `chars`; control characters become escapes: "\\x1b", "\\n"."""
    text = text[:chars] + "…" if len(text) > chars else text
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= chars else text[: chars - 1] + "…"


def place_of(line: int | None, pair: Pair | tuple[int, int] | None) -> str:
    """Where to find a row: its line, its pair, or both, as in "line 5 (11,42)"."""
    ids = f"{pair[0]},{pair[1]}" if pair else ""
    if line is None:
        return ids
    return f"line {line} ({ids})" if ids else f"line {line}"


class Kind:
    """One kind of reason: its count, the text of its lowest row, and the values that never changed."""

    __slots__ = ("_parts", "at", "count", "example", "fixed")

    def __init__(self, parts: list[str], example: str, at: int) -> None:
        self.count = 0
        self.example, self.at = example, at
        self._parts = parts  # texts and values in turn
        self.fixed: Sequence[int] = range(1, len(parts), 2)
        """Places of the values that were the same in all texts so far."""

    def meet(self, parts: list[str]) -> None:
        """Take another text of this kind; some of its values may differ."""
        first, fixed = self._parts, self.fixed
        for i in fixed:
            if parts[i] != first[i]:
                self.fixed = [i for i in fixed if parts[i] == first[i]]
                return

    def told(self) -> Reason:
        words = (part if i % 2 == 0 or i in self.fixed else "…" for i, part in enumerate(self._parts))
        return Reason(escaped("".join(words)), self.count, self.example)


class ReasonCounter:
    """Reasons by state; `add` costs about 4 µs."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[tuple[str, ...], Kind]] = {}

    def add(
        self,
        state: str,
        text: str,
        *,
        kind: str = "",
        place: Callable[[], str] = str,
        count: int = 1,
        at: int = 0,
    ) -> None:
        """Count a text that was said of `count` pairs.

        `kind` is the text without its values, where the author of the text knows that.  `at` is the row of the first of
        the pairs, where texts do not come in the order of rows.  `place` tells where that is; it is called only for the
        example of a kind.
        """
        parts = _VALUE.split(escaped(kind or text, TEXT_CHARS) or NOT_SAID)
        kinds = self._kinds.setdefault(state, {})
        key = tuple(parts[::2])
        found = kinds.get(key)
        if found is None:
            key = key if len(kinds) < MOST_KINDS else BEYOND
            found = kinds.get(key)
            if found is None:
                found = kinds[key] = Kind(parts, example(text or NOT_SAID, place()), at)
        elif found.fixed:
            found.meet(parts)
        if at < found.at:
            found.example, found.at = example(text or NOT_SAID, place()), at
        found.count += count

    def top(self, most: int = SHOWN) -> Reasons:
        """The most frequent reasons of each state in falling order; one more entry counts the rest."""
        return {state: _top(kinds, most) for state, kinds in self._kinds.items() if kinds}


def _top(kinds: Mapping[tuple[str, ...], Kind], most: int) -> tuple[Reason, ...]:
    named = nlargest(
        most, (kind for key, kind in kinds.items() if key != BEYOND), key=lambda kind: (kind.count, -kind.at)
    )
    rest = [kind for kind in kinds.values() if kind not in named]
    told = [kind.told() for kind in named]
    if rest:
        told.append(Reason(OTHER, sum(kind.count for kind in rest), min(rest, key=lambda kind: kind.at).example))
    return tuple(told)


def example(text: str, place: str) -> str:
    return escaped(f"{place}: {text}" if place else text)


def shown_first(reasons: Sequence[Reason], most: int) -> tuple[list[Reason], int]:
    """The first `most` reasons, and the number of pairs with any other reason."""
    named = [reason for reason in reasons if reason.reason != OTHER][:most]
    return named, sum(reason.count for reason in reasons) - sum(reason.count for reason in named)
