"""How numbers, times and states are written for people, everywhere alike.

Pure: values in, text out.  Nothing here knows a terminal; `wrap` takes the width as an argument, so that a display of
40 columns can be tested without one.  The words of the states are those of the README and of `--json`, with a space
for the underscore.

Counts, durations and rates are those of `amounts`, which the log uses as well.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from ..amounts import duration as duration
from ..amounts import per_second as per_second
from ..amounts import quantity as quantity
from ..model import Counts, Rows

MEANING = {
    "created": "records made by this run",
    "existing": "records that were there before",
    "rejected": "refused by the server",
    "failed": "all attempts failed and none was applied; the next start tries again",
    "in_doubt": "they were sent or about to be sent; the next start asks the server which of them exist",
    "pending": "not sent yet",
    "invalid": "rows that hold no valid pair",
    "duplicates": "same pair as an earlier row",
}
"""States in the order of every table, each with what it means."""


def number(value: int) -> str:
    return f"{value:,}"


def creates_per_second(rate: float) -> str:
    """How fast a run goes: rows that exist or were settled before are no work."""
    return per_second(rate).replace("/s", " creates/s")


def percent(part: float, whole: float) -> str:
    """Rounded down, so that 100% is never shown before the end."""
    return f"{int(100 * part / whole)}%" if whole else "100%"


def when(iso: str) -> str:
    """An ISO 8601 time as local time to the second, with its zone, as in a letter to a colleague."""
    return datetime.datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def state(name: str) -> str:
    return name.replace("_", " ")


def by_state(counts: Counts) -> dict[str, int]:
    """Counts under the word of their state, in the order of `MEANING`."""
    numbers = counts.to_json()
    return {name: numbers[name] for name in MEANING}


def not_read(count: int | None, *, is_exact: bool) -> str:
    """Rows of the source that were not read yet: "8,545", "about 8,545", or "unknown"."""
    if count is None:
        return "unknown"
    return f"{'' if is_exact else 'about '}{count:,}"


def counts_table(
    counts: Counts, rows: Rows | None = None, *, always: Sequence[str] = ("created",), is_alive: bool = False,
    is_undone: bool = False,
) -> list[str]:  # fmt: skip
    """Aligned lines of a count, its word and its meaning; zero rows are left out but for those in `always`.

    `rows` tells of the source, where there is one and it was not read whole.  `is_alive`: some process writes this
    journal, in which what that has yet to send looks like doubts.  `is_undone`: an undo has deleted records since.
    """
    meaning = {**MEANING, "in_doubt": "about to be sent, on their way, or in doubt"} if is_alive else MEANING
    if is_undone:
        meaning = {**meaning, "pending": "not sent yet, or undone: their records were deleted by `undo`"}
    lines = [("pairs", number(counts.pairs), "rows read")]
    lines += [(state(n), number(c), meaning[n]) for n, c in by_state(counts).items() if c or n in always]
    if rows and (rows.not_read or not rows.is_exact):
        lines.append(("not read", not_read(rows.not_read, is_exact=rows.is_exact), unread_meaning(rows)))
    wide, width = max(9, *(len(word) for word, _, _ in lines)), max(len(count) for _, count, _ in lines)
    return [f"  {word:<{wide}}  {count:>{width}}  {meaning}" for word, count, meaning in lines]


def unread_meaning(rows: Rows) -> str:
    if rows.total is None:
        return "rows of the source; it was not read to its end"
    how = "" if rows.is_exact else ", by its size"
    return f"rows of the source, which has {'' if rows.is_exact else 'about '}{rows.total:,}{how}"


def wrap(facts: Iterable[str], width: int, *, indent: str = "  ", between: str = " · ") -> list[str]:
    """Facts in as few lines of at most `width` columns as their order allows; a fact too long for a line is cut."""
    lines: list[str] = []
    for fact in facts:
        room = max(1, width - len(indent))
        short = fact if len(fact) <= room else fact[: room - 1] + "…"
        if lines and len(lines[-1]) + len(between) + len(short) <= width:
            lines[-1] += between + short
        else:
            lines.append(indent + short)
    return lines


def columns(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Two columns, the second wrapped beside the first; what `help TOPIC` prints."""
    left = min(max((len(a) for a, _ in rows), default=0), max(12, width // 3))
    lines: list[str] = []
    for a, b in rows:
        texts = wrap(b.split(), width - left - 4, indent="", between=" ") or [""]
        head = f"  {a:<{left}}"
        if len(a) > left:
            lines.append("  " + a)
            head = " " * (left + 2)
        lines.append(f"{head}  {texts[0]}".rstrip())
        lines += [" " * (left + 4) + t for t in texts[1:]]
    return lines


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of short texts in columns as wide as their widest text, but for the last one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{text:<{wide}}" for text, wide in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
