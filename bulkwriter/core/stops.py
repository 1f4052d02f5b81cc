"""When a run must stop, and the message: repeated rejections, refused connections, long waits.

Pure: each function looks at what came and returns the error to stop with, or None.  Every hint says what to do next.
No hint suggests to start over with a fresh journal.

Some replies stop a run by their status alone: 403, redirects, a token refused twice.  Those are in the table of
`classify`.  If a run has several errors, `errors` decides which one gives the exit code.
"""

from __future__ import annotations

from collections import Counter, deque

from ..amounts import wait_words
from ..errors import BulkwriterError, ConfigurationStop, TryLater
from ..model import FATAL_FAULTS, Fault, Verdict, moment
from ..rows import text_of
from ..settings import Settings
from ..wording import Worded
from .reasons import escaped, words_of

GO_ON = "nothing is lost: the same command goes on where this one ended"
NOT_KEPT = 'no journal is kept: another writer begins anew, and only with existing="check" finds what this one wrote'
MEND = "if a setting is wrong, mend it and add --retry rejected to the command"

NOTHING_TAKEN_S = 90.0
"""More than a minute: within it a limit per minute has surely let something through."""
FEWEST_THROTTLES = 5
"""Fewer may be an accident."""
RECENT = 200
"""The share of one rejection is taken of so many replies."""
FEWEST_REPLIES = 100
"""With fewer a share says little."""
NEARLY_ALL = 0.95
"""So large a share of refusals is a wrong setting whatever words each has: a server may name the person.  More than
half would be too little: a source may hold several kinds of pairs that are to be refused."""


class Rejections:
    """Counts equal rejections, in a row and among good replies: a wrong setting must not burn a day's budget.

    Rejections are equal if they differ only in values, since values name the refused pair.  If nearly all replies are
    rejections, their words do not matter.  Only replies that took or refused a pair count.  Good ones cost nothing
    here: `created`, their number so far, tells when each rejection came.
    """

    def __init__(self, *, most_in_a_row: int, most_share: float = 1.0) -> None:
        self._most_in_a_row = most_in_a_row
        self._most_share = most_share
        self._last: object = None
        self._in_a_row = 0
        self._created = 0
        self._refused = 0
        self._recent: deque[tuple[int, object]] = deque()  # (which reply it was, its words), of the last RECENT replies
        self._counts: Counter[object] = Counter()  # of the words in `_recent`

    def in_a_row(self, status: int, verdict: Verdict, *, created: int) -> int:
        """A pair was refused after `created` good replies.  Return how many were now refused alike in a row."""
        what = words_of(status, verdict)
        is_same = what == self._last and created == self._created
        self._in_a_row = self._in_a_row + 1 if is_same else 1
        self._last, self._created = what, created
        return self._in_a_row

    def add(self, status: int, verdict: Verdict, *, created: int) -> BulkwriterError | None:
        """A pair was refused after `created` good replies.  Return the error to stop with if there were too many."""
        what = words_of(status, verdict)
        self.in_a_row(status, verdict, created=created)
        words = escaped(text_of(verdict.errors, verdict.message))
        if self._in_a_row >= self._most_in_a_row:
            return ConfigurationStop(
                f"{self._in_a_row} pairs in a row were rejected with the same words: {words}",
                hint=f"{MEND}; if these pairs are to be rejected, raise --max-same-rejections",
                code="rejections",
            )
        replies, same = self._among_recent(what, created)
        if replies < FEWEST_REPLIES or self._most_share >= 1:
            return None
        refused = len(self._recent)
        if same >= self._most_share * replies:
            said = f"{same} of the last {replies} replies were the same rejection: {words}"
        elif refused >= max(self._most_share, NEARLY_ALL) * replies:
            said = f"{refused} of the last {replies} replies were rejections, the last one: {words}"
        else:
            return None
        return ConfigurationStop(
            said,
            hint=f"{MEND}; if these pairs are to be rejected, --stop-rejected 1 goes on whatever their share is",
            code="rejections",
        )

    def _among_recent(self, what: object, created: int) -> tuple[int, int]:
        """How many recent replies there are, with this one, and how many of them said the same."""
        self._refused += 1
        reply = created + self._refused
        recent, counts = self._recent, self._counts
        recent.append((reply, what))
        counts[what] += 1
        while recent[0][0] <= reply - RECENT:
            _, gone = recent.popleft()
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
        return min(reply, RECENT), counts[what]


def no_role(role: str) -> str:
    """The hint for a fresh token that is refused."""
    return f"a fresh token was refused as well: its user needs the role {role}"


def true_without_journal(error: BulkwriterError, settings: Settings) -> BulkwriterError:
    """The same error.  Where no journal is kept, its hint does not promise that the run can go on."""
    if not settings.journal:
        is_later = isinstance(error, TryLater)
        error.hint = Worded(NOT_KEPT if is_later else error.hint.typed.replace(GO_ON, NOT_KEPT))
    return error


def at_connect(fault: Fault, detail: str, *, has_connected: bool) -> BulkwriterError | None:
    """The stop after a failure to connect: always for a certificate, otherwise only before the first success."""
    hint = FATAL_FAULTS.get(fault)
    if hint is None or (has_connected and fault is not Fault.TLS):
        return None
    return ConfigurationStop(Worded(f"{fault.value}: {detail}"), hint=hint)


def at_long_wait(stated_s: float | None, settings: Settings, wall_s: float) -> BulkwriterError | None:
    """The stop after a `Retry-After` of `stated_s`, if that is too long."""
    if stated_s is None or stated_s <= settings.longest_wait_s:
        return None
    return TryLater(
        f"the server asks to wait {wait_words(stated_s)}, until {moment(wall_s + stated_s)}",
        hint="the same command after that time goes on",
        code="stated_wait",
        retry_at=wall_s + stated_s,
    )


class ThrottleStreak:
    """Throttles with no success between them.  Used where no quota learns from throttles and `--on-quota stop` is set.

    A limit per minute, or a shorter one, lets something through within a minute.  If nothing comes through, the limit
    is longer.
    """

    def __init__(self) -> None:
        self._created = -1
        self._since = 0.0
        self._throttles = 0

    def add(self, now: float, created: int) -> BulkwriterError | None:
        """A throttle came when so many pairs had been created."""
        if created != self._created:
            self._created, self._since, self._throttles = created, now, 0
        self._throttles += 1
        if now - self._since < NOTHING_TAKEN_S or self._throttles < FEWEST_THROTTLES:
            return None
        return TryLater(
            f"the server throttled every request for {now - self._since:,.0f} s: a longer limit of it is spent",
            hint="the same command later goes on",
            code="throttled",
        )


def at_gone(gone_s: float, reason: str, settings: Settings) -> BulkwriterError | None:
    """The stop for a server that gave no good reply for `gone_s`."""
    if gone_s < settings.give_up_after_s:
        return None
    what = f"no good reply for {gone_s:,.0f} s (last: {reason})"
    return TryLater(what, hint="the same command later goes on", code="gone")
